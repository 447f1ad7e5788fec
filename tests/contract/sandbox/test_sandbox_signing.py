"""The sandbox's own signatures against the contract's vectors."""

import json

import pytest

from sandbox.signing import return_base_string, sign_body, sign_return

KEY = "SSANDBOX01-AAAA2222BB-CCCC3333DD"

IPN_1 = (
    b'{"tran_ref":"TST2621800000101","merchant_id":10001,"profile_id":987654,"cart_id":"INV-2026-0001",'
    b'"cart_description":"Invoice 1","cart_currency":"SAR","cart_amount":"115.00","tran_currency":"SAR",'
    b'"tran_total":"115.00","tran_type":"Sale","tran_class":"ECom","payment_result":{"response_status":"A",'
    b'"response_code":"G12345","response_message":"Authorised","cvv_result":" ","avs_result":" ",'
    b'"transaction_time":"2026-08-06T10:15:30Z"},"ipn_trace":"IPNS0201.6A745EC2.00000001",'
    b'"paymentChannel":"Payment Page"}'
)

RETURN_1 = {
    "acquirerMessage": "",
    "acquirerRRN": "",
    "cartId": "INV-2026-0001",
    "customerEmail": "buyer@example.test",
    "respCode": "G12345",
    "respMessage": "Authorised",
    "respStatus": "A",
    "token": "",
    "tranRef": "TST2621800000101",
}

RETURN_2 = {
    "acquirerMessage": "تمت الموافقة",
    "acquirerRRN": "0",
    "cartId": "INV/2026/07~A*1",
    "customerEmail": "a+b@example.test",
    "respCode": "G54321",
    "respMessage": "Approved & held (50%)",
    "respStatus": "H",
    "token": "",
    "tranRef": "TST2621800000102",
}


#: The signature of the row with the most marks.
MARKS = "9b5494ffeaf6ffe369c8438037b84b22be1bc5c7d6f08fd54b52072d76aff50f"


class TestBodySignature:
    """HMAC over the raw bytes of a notification."""

    def test_exact_bytes(self) -> None:
        """The published body gives the published signature."""
        assert len(IPN_1) == 503
        assert sign_body(IPN_1, KEY) == "fb3b31ca074a1eff83ab875b19a06daccc5e7d7106ea64c4f906e05ea9e7931d"

    def test_reserialised_differs(self) -> None:
        """A body parsed and written again has another signature."""
        again = json.dumps(json.loads(IPN_1)).encode()
        assert sign_body(again, KEY) == "eca3fc406868cf1e56ebd338c7aa01c6cac8455d856794120e683331f004fdea"

    def test_newline_differs(self) -> None:
        """A trailing newline is part of the bytes."""
        assert sign_body(IPN_1 + b"\n", KEY) == "896e2f0d4dceea8410908bf281f51db3aa4ffe558670c0612e8acee2d229e400"

    def test_utf8(self) -> None:
        """Arabic text is signed as UTF-8."""
        body = '{"cart_id":"طلب-1","cart_amount":"1.500"}'.encode()
        assert len(body) == 44
        assert sign_body(body, KEY) == "20d1c9a72f988ff5c30ebdd3d1ef8e2ef4dbc5693ba521340aed63af21ef7ede"


class TestReturnSignature:
    """HMAC over the canonical text of a browser return."""

    def test_return_1(self) -> None:
        """Empty members are left out, the rest is sorted."""
        assert return_base_string(RETURN_1) == (
            "cartId=INV-2026-0001&customerEmail=buyer%40example.test&respCode=G12345&respMessage=Authorised"
            "&respStatus=A&tranRef=TST2621800000101"
        )
        assert sign_return(RETURN_1, KEY) == "aee68e3f197b5c1a9083a16016e97edfbad52960b40cc285acdbdb41fb52bc49"

    def test_return_2(self) -> None:
        """Every byte outside the unreserved ones is encoded, and a zero stays."""
        assert return_base_string(RETURN_2) == (
            "acquirerMessage=%D8%AA%D9%85%D8%AA+%D8%A7%D9%84%D9%85%D9%88%D8%A7%D9%81%D9%82%D8%A9&acquirerRRN=0"
            "&cartId=INV%2F2026%2F07%7EA%2A1&customerEmail=a%2Bb%40example.test&respCode=G54321"
            "&respMessage=Approved+%26+held+%2850%25%29&respStatus=H&tranRef=TST2621800000102"
        )
        assert sign_return(RETURN_2, KEY) == "53bfb283b03e8edbd62ab85cee0943efbca9dab5c428798bbaefa77ca2872fef"

    def test_dropped_zero_differs(self) -> None:
        """Leaving out the zero gives the published wrong signature, not ours."""
        without = {name: value for name, value in RETURN_2.items() if value != "0"}
        assert sign_return(without, KEY) == "f9cb871dc47499c6db57ef40535c7eb0d0bfd6792bafcd26d949fac0eda5acb9"

    def test_rfc_3986_differs(self) -> None:
        """Spaces as %20 and a bare tilde give the published wrong signature, not ours."""
        text = return_base_string(RETURN_2).replace("+", "%20").replace("%7E", "~")
        wrong = sign_body(text.encode(), KEY)
        assert wrong == "0a8f9e2e18206aeab947194b97da15aff9529dec72d88945d358d708f0b3c286"
        assert wrong != sign_return(RETURN_2, KEY)

    def test_own_signature_is_left_out(self) -> None:
        """A form that already bears a signature is signed as if it did not."""
        assert sign_return({**RETURN_1, "signature": "x"}, KEY) == sign_return(RETURN_1, KEY)

    def test_byte_order(self) -> None:
        """Upper case sorts before lower case, and a space is a value."""
        assert return_base_string({"b": "1", "a": " ", "B": "2"}) == "B=2&a=+&b=1"

    @pytest.mark.parametrize(
        ("value", "base", "signature"),
        [
            ("a b", "k=a+b", "f8fe3f95772c4300bc060ee1a02f41dd72385922c816454125f8044d2316fcc0"),
            ("a+b", "k=a%2Bb", "7d68191e7af7c0c4862fc6267a2ac4c7dea678be162607016d97fc1362e58b00"),
            ("تمت", "k=%D8%AA%D9%85%D8%AA", "fd8c7ee9f54702710b4c3f0b232bfc99e682f6afe54c93498740379da795ae0d"),
            ("INV/07", "k=INV%2F07", "50d7a8e599e33d4a4b7d745a10ab624eba08cc150a42a397e63ffaece2938089"),
            ("a~b", "k=a%7Eb", "4b94a63df70085fd3d2192e5968a7cba76c1bdc0d38203baec98ee6429839649"),
            ("a*b", "k=a%2Ab", "2631ea803f73a6ca8beeca5beb327ebfcefb3e6631ada8fc412c129e3d313360"),
            ("", "", "d9ab4921a1503794188ddd05a76dcc3dea7ce7425102eec44166707482623377"),
            ("0", "k=0", "008230cb3b4f1cc2d52a93f78532999648e678c37aa5df75a09be0d2c9888ccb"),
            (" ", "k=+", "db2e20c37e00d035b06020a7cc3b07012333af2fb18c40af646af425f1fb5f46"),
            ("a&b=c", "k=a%26b%3Dc", "c6f2b5da432f90e354c214aa8d1ec5024863ccb0ddc3bab9e80c8e71fd022811"),
            ("50%", "k=50%25", "04da0689f2f6c8449ccd771f44ac09a609de7a00b95e8d05b45a8943eaa3b9a0"),
            ('it\'s "x"', "k=it%27s+%22x%22", "7475cef8c4330826b9fd20131dd1368110bd5b324496f8f765b35bd100e2d00a"),
            ("(a)!", "k=%28a%29%21", "0bb9ea7140b518392020c48e3e75741e727f9a3b911705b4a861630b0e4cec92"),
            (
                "a@b.c:1,2;3",
                "k=a%40b.c%3A1%2C2%3B3",
                MARKS,
            ),
            ("a\r\nb", "k=a%0D%0Ab", "44e8f6ef50b9195d86152c87a858cee6660b675c93a5a3be859abf37d96ca9f1"),
            ("😀", "k=%F0%9F%98%80", "f10b7fb66a9038bc2ceb65ebd91babd1d4d21a8b8e6dad7bf9ef6efa071518e0"),
            ("a-b_c.d", "k=a-b_c.d", "fbf91680d11cd8417952ebe85b01ab9ca6e93acaab17b91fc8d3c177a074f65c"),
            ("caf\udce9", "k=caf%E9", "a0f66b70f056450471747efc406ddc54ced48732f1f07d55821f8f499759de75"),
        ],
    )
    def test_encoding(self, value: str, base: str, signature: str) -> None:
        """Each row of the encoding table."""
        assert return_base_string({"k": value}) == base
        assert sign_return({"k": value}, KEY) == signature
