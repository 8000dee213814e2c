// Answers as they come: each into its own place, and nothing else on the page moves.
"use strict";
(() => {
  const list = document.querySelector("[data-stream]");
  if (!list || !window.EventSource) return;
  const live = (name) => document.querySelector(`[data-live="${name}"]`);

  const clock = setInterval(() => {
    for (const each of list.querySelectorAll("[data-since]")) {
      each.dataset.begun ??= performance.now() - Number(each.dataset.since);
      each.textContent = `${((performance.now() - each.dataset.begun) / 1000).toFixed(1)} s`;
    }
  }, 1000);

  const source = new EventSource(list.dataset.stream);
  source.addEventListener("slot", (event) => {
    const { number, key, html } = JSON.parse(event.data);
    let place = document.getElementById(`leg-${number}`);
    if (!place) {
      place = document.createElement("li");
      place.id = `leg-${number}`;
      list.append(place);
    }
    if (place.dataset.key === key) return;
    place.dataset.key = key;
    place.innerHTML = html;
  });
  source.addEventListener("head", (event) => {
    for (const [name, text] of Object.entries(JSON.parse(event.data))) {
      const place = live(name);
      if (!place || place.textContent === text) continue;
      place.textContent = text;
      place.hidden = !text;
    }
  });
  source.addEventListener("over", () => {
    source.close();
    clearInterval(clock);
    const trying = document.querySelector("[data-while]");
    if (trying.contains(document.activeElement)) document.getElementById("as").focus();
    trying.classList.add("over");
  });
})();
