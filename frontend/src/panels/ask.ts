import { h, say } from "../dom";
import type { Session } from "../session/session";
import type { State } from "../state/state";
import { milliseconds, percent, several } from "../words";
import { Step } from "./step";

/** Step 2 with a model: the question, and its answer before any edit. */
export class Ask {
  readonly step = new Step(2, "Ask");
  private readonly input = h("input", { type: "text", maxlength: "4000", "aria-label": "Question", autocomplete: "off" });
  private readonly send = h("button", { type: "submit", class: "primary" }, "Ask");
  private readonly said = h("blockquote", { class: "answer" });
  private readonly facts = h("p", { class: "facts" });
  private readonly ideas = h("div", { class: "row small ideas" });

  constructor(private readonly session: Session) {
    const form = h("form", { class: "ask" }, this.input, this.send);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask(this.input.value);
    });
    this.step.body.append(form, this.ideas, this.said, this.facts);
  }

  private ask(question: string): void {
    this.session.store.set({ question: question.trim() });
    void this.session.asking.again();
  }

  private suggested: readonly string[] = [];

  private suggest(questions: readonly string[]): void {
    if (questions.join("\n") === this.suggested.join("\n")) return;
    this.suggested = questions;
    this.ideas.replaceChildren(
      ...questions.map((question) =>
        h("button", { type: "button", class: "plain", onclick: () => this.ask(question) }, question),
      ),
    );
  }

  update(_: State): void {
    const { asking, source, sample } = this.session;
    const { answer } = asking;
    if (document.activeElement !== this.input) this.input.value = asking.question;
    const asks = source.live?.asks ?? false;
    this.input.disabled = this.send.disabled = !asks || asking.busy || !asking.hasImage;
    this.input.hidden = this.send.hidden = !asks;
    const others = (sample?.questions ?? []).map((one) => one.question);
    this.suggest(asks ? [...new Set(others)].filter((one) => one !== asking.question).slice(0, 4) : []);
    this.said.hidden = !answer;
    say(this.said, answer?.text.trim() ?? "");
    say(this.facts, answer ? `first token "${answer.chosen.word.trim()}" ${percent(answer.chosen.prob)}, in ${milliseconds(answer.ms)}` : "");
    const n = sample?.prompt?.tokens.length ?? 0;
    const hint = asking.problem ?? (asking.busy ? "The model reads the image…" : answer || !asks ? "" : "Then ask about the image; any question will do.");
    this.step.el.classList.toggle("bad", asking.problem !== null);
    this.step.update(answer ? "done" : "now", hint);
    this.facts.title = n ? several(n, "token") : "";
  }
}
