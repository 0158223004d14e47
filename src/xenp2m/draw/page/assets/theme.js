// The switch between the reader's own colour scheme, light and dark.

const SCHEMES = ["auto", "light", "dark"];

function rememberedScheme() {
  try {
    return localStorage.getItem("xenp2m-theme");
  } catch {
    return null; // a page opened from a file may have no storage
  }
}

function rememberScheme(scheme) {
  try {
    localStorage.setItem("xenp2m-theme", scheme);
  } catch {
    // it then lasts as long as the page
  }
}

function showScheme(button, scheme) {
  document.documentElement.dataset.theme = scheme;
  button.querySelector("span").textContent = scheme;
}

function startThemeSwitch() {
  const button = byId("theme");
  const remembered = rememberedScheme();
  let scheme = SCHEMES.includes(remembered) ? remembered : "auto";
  showScheme(button, scheme);
  button.hidden = false;
  button.addEventListener("click", () => {
    scheme = SCHEMES[(SCHEMES.indexOf(scheme) + 1) % SCHEMES.length];
    showScheme(button, scheme);
    rememberScheme(scheme);
  });
}

startThemeSwitch();
