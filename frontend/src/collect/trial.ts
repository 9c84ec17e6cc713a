/** One image: describing it by typing, or reading a description piece by piece. */
import { fill, h, show } from "../dom";
import type { Record, Trial, Word } from "./api";
import { Clock } from "./clock";
import { bubble, pictures } from "./window";
import { timed } from "./words";

const HOW = {
  describe:
    "Look around with the small sharp window and describe what you see, in one or two sentences. Describe each thing while the window is on it.",
  read: "Read the highlighted words, look with the small sharp window for what they say, then go on.",
};

/** Shows the trial in `root`; `finish` is given its record and may refuse it. */
export async function showTrial(
  root: HTMLElement,
  trial: Trial,
  finish: (record: Record) => Promise<void>,
): Promise<void> {
  const shown = await pictures(`api/images/${trial.trial}`);
  // Times count from the image's appearance, however long it took to arrive.
  const clock = new Clock();
  const view = bubble(shown, [trial.width, trial.height], trial.radius, clock);
  let words: Word[] = [];
  const problem = h("p", { class: "problem", role: "alert" });
  const done = h("button", { class: "primary", type: "button" }, "Done");

  const say = describing(trial, clock, (now) => (words = now));
  const read = reading(trial, clock, (now) => (words = now));
  const own = trial.task === "describe" ? say : read;

  // Moving the mouse meanwhile must not offer to send a second time.
  let sending = false;

  async function end(): Promise<void> {
    if (clock.paused || sending) return;
    sending = true;
    check();
    problem.textContent = "";
    try {
      await finish({
        task: trial.task,
        positions: view.positions,
        pauses: clock.pauses,
        words,
        end: clock.seconds,
        instruments: [...view.instruments],
      });
      view.close();
    } catch (error) {
      problem.textContent = `${(error as Error).message}. Nothing is lost: try again.`;
      sending = false;
      check();
    }
  }

  function check(): void {
    done.disabled = sending || !own.ready() || view.positions.length === 0 || clock.paused;
  }

  const pause = h("button", { type: "button", "aria-pressed": "false" }, "Pause");
  pause.addEventListener("click", () => {
    if (clock.paused) clock.resume();
    else clock.pause();
    pause.textContent = clock.paused ? "Go on" : "Pause";
    pause.setAttribute("aria-pressed", String(clock.paused));
    view.pause(clock.paused);
    own.pause(clock.paused);
    show(covered, clock.paused);
    check();
  });
  const covered = h(
    "p",
    { class: "cover", role: "status" },
    "Paused. Nothing is recorded until you go on.",
  );
  show(covered, false);
  view.element.append(covered);
  done.addEventListener("click", () => void end());
  const work = h(
    "div",
    { class: "work" },
    view.element,
    h("section", { class: "side" }, own.element, h("div", { class: "actions" }, done), problem),
  );
  for (const name of ["input", "pointermove", "pointerdown", "keydown", "click"]) {
    work.addEventListener(name, check);
  }

  const heading = h("h1", { tabindex: "-1" }, `Image ${trial.done + 1} of ${trial.total}`);
  const progress = h("progress", {
    max: trial.total,
    value: trial.done,
    "aria-label": `${trial.done} of ${trial.total} images done`,
  });
  const head = h("header", { class: "trial-head" }, heading, progress, pause);
  fill(
    root,
    head,
    h("p", { class: "how" }, HOW[trial.task]),
    work,
  );
  heading.focus();
  view.draw();
  check();
}

interface Part {
  element: HTMLElement;
  ready(): boolean;
  pause(paused: boolean): void;
}

function describing(trial: Trial, clock: Clock, tell: (words: Word[]) => void): Part {
  let words: Word[] = [];
  const text = h("textarea", {
    id: "description",
    rows: 5,
    maxlength: 2000,
    spellcheck: "false",
    autocomplete: "off",
    autocapitalize: "sentences",
    placeholder: "A red kite over a beach …",
  });
  text.addEventListener("input", () => {
    if (clock.paused) return;
    words = timed(words, text.value, clock.seconds);
    tell(words);
  });
  return {
    element: h(
      "div",
      { class: "say" },
      h("label", { for: "description" }, `Your description of image ${trial.done + 1}`),
      text,
      h("p", { class: "hint" }, "Only what you type is kept; nothing is heard or filmed."),
    ),
    ready: () => words.length > 0,
    pause: (paused) => {
      text.readOnly = paused;
    },
  };
}

function reading(trial: Trial, clock: Clock, tell: (words: Word[]) => void): Part {
  const pieces = trial.pieces.map((piece) => h("span", { class: "piece" }, piece));
  const next = h("button", { type: "button" }, "Next words");
  const words: Word[] = [];
  let place = 0;
  let since = clock.seconds;

  function mark(): void {
    pieces.forEach((piece, k) => {
      piece.classList.toggle("now", k === place);
      piece.classList.toggle("read", k < place);
      if (k === place) piece.setAttribute("aria-current", "true");
      else piece.removeAttribute("aria-current");
    });
    next.disabled = place >= pieces.length || clock.paused;
    next.textContent = place < pieces.length - 1 ? "Next words" : "I have read it";
    show(next, place < pieces.length);
  }

  next.addEventListener("click", () => {
    const piece = trial.pieces[place];
    if (piece === undefined || clock.paused) return;
    const now = clock.seconds;
    words.push({ text: piece, start: since, end: now });
    since = now;
    place += 1;
    tell([...words]);
    mark();
  });
  mark();
  const text = h("p", { class: "text", "aria-live": "polite" });
  for (const piece of pieces) text.append(piece, " ");
  return {
    element: h("div", { class: "read-part" }, text, next),
    ready: () => trial.pieces.length > 0 && place >= pieces.length,
    pause: mark,
  };
}
