// The reader's choice of light or dark, taken before the page is painted. "auto" follows the system.
(() => {
  const choices = ["auto", "light", "dark"];
  const kept = () => {
    try { return choices.includes(localStorage.theme) ? localStorage.theme : "auto"; } catch { return "auto"; }
  };
  let choice = kept();
  const show = () => { document.documentElement.dataset.theme = choice; };
  show();
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const label = button.querySelector("span");
    button.hidden = false;
    label.textContent = choice;
    button.addEventListener("click", () => {
      choice = choices[(choices.indexOf(choice) + 1) % choices.length];
      try { localStorage.theme = choice; } catch { /* it holds for this page then */ }
      label.textContent = choice;
      show();
      document.dispatchEvent(new Event("theme"));
    });
  });
})();
