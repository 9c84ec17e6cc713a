/** Charts as files of their own: what the page's style sheet says is written into each element. */

const STYLES = [
  "fill",
  "fill-opacity",
  "stroke",
  "stroke-width",
  "stroke-opacity",
  "stroke-dasharray",
  "stroke-linejoin",
  "opacity",
  "font-family",
  "font-size",
  "font-weight",
];

/** A copy of a chart on the page that looks the same without the page. */
export function standalone(chart: SVGSVGElement): SVGSVGElement {
  const copy = chart.cloneNode(true) as SVGSVGElement;
  const [from, to] = [chart.querySelectorAll("*"), copy.querySelectorAll("*")];
  from.forEach((node, i) => {
    const style = getComputedStyle(node);
    const target = to[i] as Element;
    for (const name of STYLES) target.setAttribute(name, style.getPropertyValue(name));
    for (const name of ["class", "tabindex", "role", "data-cell"]) target.removeAttribute(name);
  });
  for (const hidden of copy.querySelectorAll("[fill-opacity='0']")) hidden.remove();
  copy.removeAttribute("class");
  return copy;
}

/** SVGs one below the other on a page's ground. */
export function stacked(parts: readonly SVGSVGElement[], ground: string): SVGSVGElement {
  const gap = 16;
  const size = (part: SVGSVGElement) => ({
    width: Number(part.getAttribute("width")),
    height: Number(part.getAttribute("height")),
  });
  const width = Math.max(...parts.map((part) => size(part).width)) + 2 * gap;
  let y = gap;
  const whole = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  whole.append(back);
  for (const part of parts) {
    part.setAttribute("x", `${gap}`);
    part.setAttribute("y", `${y}`);
    whole.append(part);
    y += size(part).height + gap;
  }
  for (const node of [whole, back]) {
    node.setAttribute("width", `${width}`);
    node.setAttribute("height", `${y}`);
  }
  back.setAttribute("fill", ground);
  whole.setAttribute("viewBox", `0 0 ${width} ${y}`);
  return whole;
}

export function svgText(svg: SVGSVGElement): string {
  return new XMLSerializer().serializeToString(svg);
}

/** An SVG as PNG at twice its size. */
export async function pngOf(svg: SVGSVGElement): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText(svg))}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = 2 * Number(svg.getAttribute("width"));
  canvas.height = 2 * Number(svg.getAttribute("height"));
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture is too large")))),
  );
}

export function download(blob: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
