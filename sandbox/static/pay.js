// A form leaves once, however often its buttons are pressed; a test card is filled in with one click.
"use strict";
document.documentElement.classList.add("has-script");
for (const form of document.forms) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  // Coming back with the browser's Back button, the page may be used again.
  window.addEventListener("pageshow", () => delete form.dataset.sent);
}
for (const button of document.querySelectorAll(".use")) {
  button.addEventListener("click", () => {
    document.getElementById("card-number").value = button.dataset.number;
    document.getElementById("expiry").value = "12/33";
    document.getElementById("cvv").value = "123";
    document.getElementById("pay").focus();
  });
}
