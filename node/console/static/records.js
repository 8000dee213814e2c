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

  // The list of documents is filled once, where there is none yet; what comes later waits behind a
  // link, so that no row moves under the pointer; so does all of it where it would push down the
  // question whether it is the same person.
  const documents = document.querySelector("[data-documents]");
  let filling = null;
  const fill = async () => {
    const answer = await fetch(location.pathname, { credentials: "same-origin" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const listed = page.querySelector("[data-documents]");
    documents.innerHTML = listed.innerHTML;
    documents.dataset.documents = listed.dataset.documents;
    later(live("found").textContent);
  };
  const pushes = () => {
    const question = document.getElementById("compare");
    const top = (each) => each.getBoundingClientRect().top;
    return question && top(question) > top(documents);
  };
  const later = (found, wait = 1000) => {
    const link = document.querySelector("[data-since-then]");
    const isSome = /\d/.test(found);
    if (documents.childElementCount || pushes()) {
      link.hidden = !isSome || found === documents.dataset.documents;
    } else if (isSome && !filling) {
      filling = setTimeout(fill, wait);
    }
  };

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
    const head = JSON.parse(event.data);
    for (const [name, text] of Object.entries(head)) {
      const place = live(name);
      if (!place || place.textContent === text) continue;
      place.textContent = text;
      place.hidden = !text;
    }
    later(head.found);
  });
  source.addEventListener("over", () => {
    source.close();
    clearInterval(clock);
    const trying = document.querySelector("[data-while]");
    if (trying.contains(document.activeElement)) document.getElementById("as").focus();
    trying.classList.add("over");
    later(live("found").textContent, 0);
  });
})();
