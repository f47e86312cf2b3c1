// The page on which labels are chosen. `mount` fills `root`; `tell` is called with {index: choice} after each change.
// It runs in a notebook's output, in a standalone file, and in a widget.
function mount(root, data, tell) {
  const chosen = Object.assign({}, data.chosen);
  const make = (parent, tag, style, text) => {
    const node = document.createElement(tag);
    if (style) node.style.cssText = style;
    if (text !== undefined) node.textContent = text;
    parent.append(node);
    return node;
  };
  const colour = (n) => `hsl(${(n * 137 + 210) % 360} 70% 42%)`;
  const quote = (text) => '"' + String(text).replaceAll('"', '""') + '"';
  const rows = () =>
    Object.keys(chosen).map(Number).sort((a, b) => a - b).map((n) => `${quote(data.tiles[n].uri)},${quote(chosen[n])}\r\n`);
  const csv = () => "uri,label\r\n" + rows().join("");

  root.style.cssText = "font-family:system-ui,sans-serif;font-size:13px";
  const bar = make(root, "div", "display:flex;gap:12px;align-items:center;flex-wrap:wrap;margin-bottom:8px");
  const counts = make(bar, "span");
  counts.setAttribute("data-role", "counts");
  const link = make(bar, "a", "padding:3px 10px;border:1px solid;border-radius:4px;text-decoration:none;color:inherit", "Download CSV");
  link.download = data.file;
  const copy = make(bar, "button", "padding:3px 10px;font:inherit", "Copy CSV");
  make(bar, "small", "opacity:.7", "click an image, or press 1–" + data.choices.length + "; 0 removes a label; arrow keys move");
  const grid = make(root, "div", "display:flex;flex-wrap:wrap;gap:8px;align-items:flex-end");

  const figures = data.tiles.map((tile, n) => {
    const figure = make(grid, "figure", `margin:0;max-width:${data.height * 3}px;padding:3px;border:3px solid transparent;border-radius:6px`);
    figure.tabIndex = 0;
    figure.title = tile.uri;
    if (tile.image) {
      const image = make(figure, "img", `height:${data.height}px;max-width:100%;object-fit:contain;display:block;margin:0 auto;cursor:pointer`);
      image.src = tile.image;
      image.alt = tile.label;
      image.onclick = () => set(n, data.choices[data.choices.indexOf(chosen[n]) + 1]);
    } else {
      make(figure, "div", `height:${data.height}px;width:${data.height}px;overflow:auto;color:#b33;font-size:11px`, tile.error);
    }
    make(figure, "figcaption", "font-size:11px;text-align:center;overflow-wrap:anywhere", tile.label);
    const buttons = make(figure, "div", "display:flex;flex-wrap:wrap;gap:2px;justify-content:center");
    data.choices.forEach((choice, c) => {
      const button = make(buttons, "button", "font:inherit;font-size:11px;cursor:pointer;border-radius:4px;border:1px solid #8888", choice);
      button.onclick = () => set(n, chosen[n] === choice ? undefined : choice);
      button.dataset.choice = c;
    });
    figure.onkeydown = (event) => {
      const digit = "0123456789".indexOf(event.key);
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key] || 0;
      if (event.key.length === 1 && digit >= 0 && digit <= data.choices.length) {
        set(n, digit ? data.choices[digit - 1] : undefined);
        if (digit && figures[n + 1]) figures[n + 1].focus();
      } else if (step && figures[n + step]) {
        figures[n + step].focus();
      } else {
        return;
      }
      event.preventDefault();
      event.stopPropagation(); // a notebook has its own shortcuts on these keys
    };
    return figure;
  });

  function set(n, choice) {
    if (choice === undefined) delete chosen[n];
    else chosen[n] = choice;
    paint(n);
    summary();
    tell(Object.assign({}, chosen));
  }
  function paint(n) {
    const now = data.choices.indexOf(chosen[n]);
    figures[n].style.borderColor = now < 0 ? "transparent" : colour(now);
    for (const button of figures[n].querySelectorAll("button")) {
      const on = Number(button.dataset.choice) === now;
      button.style.background = on ? colour(now) : "transparent";
      button.style.color = on ? "white" : "inherit";
      button.setAttribute("aria-pressed", on);
    }
  }
  function summary() {
    const count = (choice) => Object.values(chosen).filter((c) => c === choice).length;
    const all = Object.keys(chosen).length;
    counts.textContent = `${all} of ${data.tiles.length} labelled: ` + data.choices.map((c) => `${c} ${count(c)}`).join(", ");
    if (link.href) URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    copy.textContent = "Copy CSV";
  }
  copy.onclick = () => {
    const area = make(root, "textarea", "position:fixed;left:0;top:0;opacity:0");
    area.value = csv();
    area.select(); // works where a notebook's frame may not use the clipboard's newer interface
    copy.textContent = document.execCommand("copy") ? "Copied" : "Not allowed here: use Download";
    area.remove();
  };
  figures.forEach((_, n) => paint(n));
  summary();
}
