// The minutes that a grant by broken glass lasts still; without script the page says until when.
"use strict";
for (const said of document.querySelectorAll("[data-until]")) {
  const until = Number(said.dataset.until);
  const tell = () => {
    const left = Math.ceil((until - Date.now()) / 60000);
    said.textContent = left > 0 ? `${left} minute${left === 1 ? "" : "s"} from now` : "which is over";
  };
  tell();
  setInterval(tell, 5000);
}
