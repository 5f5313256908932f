const at = (id) => document.getElementById(id);
async function classify(file) {
  at("problem").textContent = "";
  let answer;
  try {
    const response = await fetch("classify", {method: "POST", body: file});
    answer = await response.json();
    if (!response.ok) { throw new Error(answer.error); }
  } catch (error) {
    at("result").hidden = true;
    at("problem").textContent = error.message;
    return;
  }
  at("seen").src = answer.image;
  at("heat").src = answer.heat;
  at("class").textContent = answer.class;
  at("probabilities").replaceChildren(...answer.probabilities.map(([name, share]) => {
    const row = document.createElement("li");
    const [label, track, bar, value] = ["span", "span", "div", "span"].map(
      (kind) => document.createElement(kind));
    label.textContent = label.title = name;
    bar.className = "bar";
    bar.style.width = `${100 * share}%`;
    track.append(bar);
    value.textContent = `${(100 * share).toFixed(1)}%`;
    row.append(label, track, value);
    return row;
  }));
  at("result").hidden = false;
}
at("file").addEventListener("change", (event) => {
  if (event.target.files.length) { classify(event.target.files[0]); }
});
at("show").addEventListener("change", (event) => { at("heat").hidden = !event.target.checked; });
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      classify(event.dataTransfer.files[0]);
    }
  });
}
fetch("model").then((response) => response.json()).then((told) => {
  at("model").textContent = `${told.source}: ${told.classes.join(", ")}`;
});
