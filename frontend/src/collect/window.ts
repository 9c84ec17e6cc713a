/** The blurred image with a small sharp window that follows mouse, finger or arrow keys. */
import { h } from "../dom";
import type { Position } from "./api";
import type { Clock } from "./clock";

const STEP = 0.025;

/** The same image twice, as the window and what is around it show it. */
export interface Pictures {
  sharp: HTMLImageElement;
  blurred: HTMLImageElement;
}

export async function pictures(folder: string): Promise<Pictures> {
  const [sharp, blurred] = await Promise.all([
    load(`${folder}/sharp.jpg`),
    load(`${folder}/blurred.jpg`),
  ]);
  return { sharp, blurred };
}

/** A coordinate to a tenth of a pixel; rounding must not carry it over the image's edge. */
export function tenth(at: number, side: number): number {
  return Math.min(Math.round(at * 10), Math.ceil(side * 10) - 1) / 10;
}

export interface Bubble {
  element: HTMLElement;
  positions: Position[];
  instruments: Set<string>;
  /** Hides the image and stops recording while paused. */
  pause(paused: boolean): void;
  draw(): void;
  close(): void;
}

function load(src: string): Promise<HTMLImageElement> {
  return new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => done(image);
    image.onerror = () => fail(new Error("the image did not arrive"));
    image.src = src;
  });
}

/**
 * @param size width and height of the original image, in whose pixels positions are recorded.
 * @param radius of the window, in the same pixels.
 */
export function bubble(
  { sharp, blurred }: Pictures,
  size: [number, number],
  radius: number,
  clock: Clock,
): Bubble {
  const [width, height] = size;
  const canvas = h("canvas", {
    tabindex: "0",
    role: "application",
    "aria-label":
      "A blurred image. Move the mouse, a finger or the arrow keys to see it sharp in a small window.",
  });
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const positions: Position[] = [];
  const instruments = new Set<string>();
  let at: [number, number] | null = null;
  let frame = 0;

  function draw(): void {
    frame = 0;
    const shown = canvas.getBoundingClientRect();
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const wide = Math.max(1, Math.round(shown.width * ratio));
    const high = Math.max(1, Math.round(shown.height * ratio));
    if (canvas.width !== wide || canvas.height !== high) {
      canvas.width = wide;
      canvas.height = high;
    }
    context.clearRect(0, 0, wide, high);
    if (clock.paused) return;
    context.drawImage(blurred, 0, 0, wide, high);
    if (at === null) return;
    const scale = wide / width;
    context.save();
    context.beginPath();
    context.arc(at[0] * scale, at[1] * scale, radius * scale, 0, 2 * Math.PI);
    context.clip();
    context.drawImage(sharp, 0, 0, wide, high);
    context.restore();
    context.lineWidth = 2;
    context.strokeStyle = "rgb(255 255 255 / 85%)";
    context.stroke();
    context.lineWidth = 1;
    context.strokeStyle = "rgb(0 0 0 / 55%)";
    context.stroke();
  }

  function later(): void {
    if (!frame) frame = requestAnimationFrame(draw);
  }

  function move(to: [number, number] | null, by: string): void {
    if (clock.paused) return;
    at = to;
    if (to) instruments.add(by);
    const told: Position = to
      ? [clock.seconds, tenth(to[0], width), tenth(to[1], height)]
      : [clock.seconds, null, null];
    const last = positions[positions.length - 1];
    if (last && last[0] === told[0]) positions[positions.length - 1] = told;
    else if (!last || last[1] !== told[1] || last[2] !== told[2]) positions.push(told);
    later();
  }

  function place(event: PointerEvent): [number, number] {
    const shown = canvas.getBoundingClientRect();
    const x = ((event.clientX - shown.left) / shown.width) * width;
    const y = ((event.clientY - shown.top) / shown.height) * height;
    return [x, y];
  }

  const within = ([x, y]: [number, number]): boolean => x >= 0 && y >= 0 && x < width && y < height;

  canvas.addEventListener("pointerdown", (event) => {
    const to = place(event);
    if (within(to)) move(to, event.pointerType || "mouse");
  });
  canvas.addEventListener("pointermove", (event) => {
    const to = place(event);
    // A finger that leaves the image keeps its window where it was; a mouse takes it along.
    if (within(to)) move(to, event.pointerType || "mouse");
    else if (event.pointerType === "mouse") move(null, "mouse");
  });
  canvas.addEventListener("pointerleave", (event) => {
    // The window of a finger stays, so that one can type; that of a mouse goes with it.
    if (event.pointerType === "mouse") move(null, "mouse");
  });
  canvas.addEventListener("keydown", (event) => {
    const steps: { [key: string]: [number, number] } = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const length = STEP * Math.max(width, height) * (event.shiftKey ? 4 : 1);
    const from = at ?? [width / 2, height / 2];
    const x = Math.min(Math.max(from[0] + step[0] * length, 0), width - 0.1);
    const y = Math.min(Math.max(from[1] + step[1] * length, 0), height - 0.1);
    move([x, y], "keyboard");
  });
  const observer = new ResizeObserver(later);
  observer.observe(canvas);

  const element = h("div", { class: "picture" }, canvas);
  element.style.setProperty("--ratio", String(width / height));
  element.style.setProperty("aspect-ratio", `${width} / ${height}`);
  return {
    element,
    positions,
    instruments,
    draw: later,
    pause(paused) {
      element.classList.toggle("covered", paused);
      // Where the window is afterwards is not known until it moves.
      if (paused) at = null;
      else positions.push([clock.seconds, null, null]);
      later();
    },
    close() {
      observer.disconnect();
      cancelAnimationFrame(frame);
    },
  };
}
