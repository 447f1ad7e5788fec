import json

import pytest

from paytabs.signature import return_base_strings, sign_body, sign_return, verify_body, verify_return

KEY = "SSANDBOX01-AAAA2222BB-CCCC3333DD"

IPN_1 = (
    b'{"tran_ref":"TST2621800000101","merchant_id":10001,"profile_id":987654,"cart_id":"INV-2026-0001",'
    b'"cart_description":"Invoice 1","cart_currency":"SAR","cart_amount":"115.00","tran_currency":"SAR",'
    b'"tran_total":"115.00","tran_type":"Sale","tran_class":"ECom","payment_result":{"response_status":"A",'
    b'"response_code":"G12345","response_message":"Authorised","cvv_result":" ","avs_result":" ",'
    b'"transaction_time":"2026-08-06T10:15:30Z"},"ipn_trace":"IPNS0201.6A745EC2.00000001",'
    b'"paymentChannel":"Payment Page"}'
)
IPN_1_SIGNATURE = "fb3b31ca074a1eff83ab875b19a06daccc5e7d7106ea64c4f906e05ea9e7931d"
IPN_2 = '{"cart_id":"طلب-1","cart_amount":"1.500"}'.encode()
IPN_2_SIGNATURE = "20d1c9a72f988ff5c30ebdd3d1ef8e2ef4dbc5693ba521340aed63af21ef7ede"

RETURN_1 = [
    ("acquirerMessage", ""),
    ("acquirerRRN", ""),
    ("cartId", "INV-2026-0001"),
    ("customerEmail", "buyer@example.test"),
    ("respCode", "G12345"),
    ("respMessage", "Authorised"),
    ("respStatus", "A"),
    ("token", ""),
    ("tranRef", "TST2621800000101"),
]
RETURN_1_SIGNATURE = "aee68e3f197b5c1a9083a16016e97edfbad52960b40cc285acdbdb41fb52bc49"
RETURN_2 = [
    ("acquirerMessage", "تمت الموافقة"),
    ("acquirerRRN", "0"),
    ("cartId", "INV/2026/07~A*1"),
    ("customerEmail", "a+b@example.test"),
    ("respCode", "G54321"),
    ("respMessage", "Approved & held (50%)"),
    ("respStatus", "H"),
    ("token", ""),
    ("tranRef", "TST2621800000102"),
]
RETURN_2_SIGNATURE = "53bfb283b03e8edbd62ab85cee0943efbca9dab5c428798bbaefa77ca2872fef"
RETURN_2_WITHOUT_ZERO = "f9cb871dc47499c6db57ef40535c7eb0d0bfd6792bafcd26d949fac0eda5acb9"
RETURN_2_RFC_3986 = "0a8f9e2e18206aeab947194b97da15aff9529dec72d88945d358d708f0b3c286"

ENCODINGS = [
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
    ("a@b.c:1,2;3", "k=a%40b.c%3A1%2C2%3B3", "9b5494ffeaf6ffe369c8438037b84b22be1bc5c7d6f08fd54b52072d76aff50f"),
    ("a\r\nb", "k=a%0D%0Ab", "44e8f6ef50b9195d86152c87a858cee6660b675c93a5a3be859abf37d96ca9f1"),
    ("😀", "k=%F0%9F%98%80", "f10b7fb66a9038bc2ceb65ebd91babd1d4d21a8b8e6dad7bf9ef6efa071518e0"),
    ("a-b_c.d", "k=a-b_c.d", "fbf91680d11cd8417952ebe85b01ab9ca6e93acaab17b91fc8d3c177a074f65c"),
    ("caf\udce9", "k=caf%E9", "a0f66b70f056450471747efc406ddc54ced48732f1f07d55821f8f499759de75"),
]


class TestBody:
    """The signature of callbacks and IPNs."""

    @pytest.mark.parametrize(("body", "signature"), [(IPN_1, IPN_1_SIGNATURE), (IPN_2, IPN_2_SIGNATURE)])
    def test_vectors(self, body: bytes, signature: str) -> None:
        """Both published vectors are signed and verified as published."""
        assert sign_body(body, KEY) == signature
        assert verify_body(body, signature, [KEY])

    def test_vector_lengths(self) -> None:
        """The vectors' bodies are the published bytes, to the byte."""
        assert (len(IPN_1), len(IPN_2)) == (503, 44)

    def test_serialised_again(self) -> None:
        """A body that was parsed and written again has another signature, and the genuine one does not fit it."""
        again = json.dumps(json.loads(IPN_1)).encode()
        assert sign_body(again, KEY) == "eca3fc406868cf1e56ebd338c7aa01c6cac8455d856794120e683331f004fdea"
        assert not verify_body(again, IPN_1_SIGNATURE, [KEY])

    def test_newline_added(self) -> None:
        """One more newline is another body."""
        longer = IPN_1 + b"\n"
        assert sign_body(longer, KEY) == "896e2f0d4dceea8410908bf281f51db3aa4ffe558670c0612e8acee2d229e400"
        assert not verify_body(longer, IPN_1_SIGNATURE, [KEY])

    def test_one_byte_tampered(self) -> None:
        """No single byte of the body can be changed."""
        for position in range(len(IPN_1)):
            forged = bytearray(IPN_1)
            forged[position] ^= 1
            assert not verify_body(bytes(forged), IPN_1_SIGNATURE, [KEY])

    @pytest.mark.parametrize(
        "signature",
        ["", " ", "é", "0" * 64, IPN_1_SIGNATURE.upper(), IPN_1_SIGNATURE[:-1], IPN_1_SIGNATURE + " ", None],
    )
    def test_wrong_signature(self, signature: object) -> None:
        """Whatever is not exactly the lower-case signature is refused, strange types included."""
        assert not verify_body(IPN_1, signature, [KEY])  # type: ignore[arg-type]

    def test_rotation(self) -> None:
        """While a key is being replaced, both the current and the previous one verify, and no third one."""
        assert verify_body(IPN_1, IPN_1_SIGNATURE, ["SNEWKEY001-AAAA2222BB-CCCC3333DD", KEY])
        assert not verify_body(IPN_1, IPN_1_SIGNATURE, ["SNEWKEY001-AAAA2222BB-CCCC3333DD"])

    def test_empty_key(self) -> None:
        """A key that was left empty verifies nothing, though anyone could sign with it."""
        assert not verify_body(IPN_1, sign_body(IPN_1, ""), ["", ""])
        assert not verify_body(IPN_1, IPN_1_SIGNATURE, [])


class TestReturn:
    """The signature of the browser's return."""

    def test_vector_1(self) -> None:
        """The first published return has its published form and signature."""
        form = (
            "cartId=INV-2026-0001&customerEmail=buyer%40example.test&respCode=G12345&respMessage=Authorised"
            "&respStatus=A&tranRef=TST2621800000101"
        )
        assert return_base_strings(RETURN_1) == (form,)
        assert sign_return(RETURN_1, KEY) == RETURN_1_SIGNATURE

    def test_vector_2(self) -> None:
        """The second one too; the form that drops "0" is the alternative, not what we sign."""
        form = (
            "acquirerMessage=%D8%AA%D9%85%D8%AA+%D8%A7%D9%84%D9%85%D9%88%D8%A7%D9%81%D9%82%D8%A9&acquirerRRN=0"
            "&cartId=INV%2F2026%2F07%7EA%2A1&customerEmail=a%2Bb%40example.test&respCode=G54321"
            "&respMessage=Approved+%26+held+%2850%25%29&respStatus=H&tranRef=TST2621800000102"
        )
        assert return_base_strings(RETURN_2) == (form, form.replace("&acquirerRRN=0", ""))
        assert sign_return(RETURN_2, KEY) == RETURN_2_SIGNATURE
        assert sign_return(RETURN_2, KEY) != RETURN_2_WITHOUT_ZERO

    @pytest.mark.parametrize("signature", [RETURN_2_SIGNATURE, RETURN_2_WITHOUT_ZERO])
    def test_both_forms_of_zero(self, signature: str) -> None:
        """A return is genuine whether its sender kept or dropped members whose value is "0"."""
        assert verify_return([*RETURN_2, ("signature", signature)], [KEY])

    def test_rfc_3986(self) -> None:
        """A signature over the other percent-encoding (%20, bare ~) is refused."""
        assert not verify_return([*RETURN_2, ("signature", RETURN_2_RFC_3986)], [KEY])

    @pytest.mark.parametrize(("value", "form", "signature"), ENCODINGS)
    def test_encoding(self, value: str, form: str, signature: str) -> None:
        """Each row of the encoding table, bytes that are not UTF-8 included."""
        fields = [("k", value)]
        assert return_base_strings(fields)[0] == form
        assert sign_return(fields, KEY) == signature
        assert verify_return([*fields, ("signature", signature)], [KEY])

    def test_order(self) -> None:
        """Names are sorted by bytes, so the order of arrival does not matter and capitals come first."""
        assert return_base_strings([("b", "1"), ("a", "2"), ("B", "3")])[0] == "B=3&a=2&b=1"
        assert verify_return([("signature", RETURN_1_SIGNATURE), *reversed(RETURN_1)], [KEY])

    @pytest.mark.parametrize(
        "signatures", [[], [""], [RETURN_1_SIGNATURE, RETURN_1_SIGNATURE], [RETURN_1_SIGNATURE, ""], ["é"], ["0" * 64]]
    )
    def test_bad_signature(self, signatures: list[str]) -> None:
        """A missing, empty, repeated or wrong signature is refused, even beside a right one."""
        assert not verify_return([*RETURN_1, *(("signature", signature) for signature in signatures)], [KEY])

    @pytest.mark.parametrize("position", range(len(RETURN_1)))
    def test_tampered(self, position: int) -> None:
        """No member can be changed, and none added to."""
        forged = list(RETURN_1)
        forged[position] = (forged[position][0], forged[position][1] + "x")
        assert not verify_return([*forged, ("signature", RETURN_1_SIGNATURE)], [KEY])

    def test_member_repeated(self) -> None:
        """A second value for a name is signed over too, so it cannot be slipped in."""
        assert not verify_return([*RETURN_1, ("respStatus", "D"), ("signature", RETURN_1_SIGNATURE)], [KEY])

    def test_own_parameters(self) -> None:
        """Parameters of our own return URL are left out when named, and only then."""
        fields = [*RETURN_1, ("shop", "7"), ("signature", RETURN_1_SIGNATURE)]
        assert verify_return(fields, [KEY], ignore={"shop"})
        assert not verify_return(fields, [KEY])

    def test_empty_key(self) -> None:
        """A key that was left empty verifies nothing."""
        assert not verify_return([*RETURN_1, ("signature", sign_return(RETURN_1, ""))], [""])
