"use strict";
const face = document.getElementById("screen");
const events = new EventSource("/events");
events.addEventListener("screen", (e) => { face.innerHTML = e.data; });
events.addEventListener("left", (e) => {
	const left = document.getElementById("left");
	if (left) left.textContent = e.data;
});
for (const form of document.querySelectorAll(".play form")) {
	form.addEventListener("submit", async (e) => {
		e.preventDefault();
		const body = new URLSearchParams(new FormData(form));
		body.set("do", e.submitter.value);
		const answer = await fetch("/gesture", { method: "POST", body });
		if (!answer.ok) alert(await answer.text());
	});
}
