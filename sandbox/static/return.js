// The browser goes back to the shop by itself; the button remains for those without scripts.
"use strict";
document.getElementById("return-form").submit();
