import { h } from "../dom";

export interface Choice<T extends string> {
  value: T;
  label: string;
  title?: string;
  icon?: Node;
}

/** A row of buttons of which one is on; arrow keys move within it, as in a group of radio buttons. */
export class Segmented<T extends string> {
  readonly el: HTMLElement;
  private readonly buttons: HTMLButtonElement[];

  constructor(
    label: string,
    private readonly choices: readonly Choice<T>[],
    pick: (value: T) => void,
  ) {
    this.buttons = choices.map((choice) =>
      h(
        "button",
        {
          type: "button",
          role: "radio",
          title: choice.title,
          "aria-label": choice.icon ? choice.label : undefined,
          onclick: () => pick(choice.value),
        },
        choice.icon,
        h("span", { class: choice.icon ? "label" : "" }, choice.label),
      ),
    );
    this.el = h("div", { class: "segmented", role: "radiogroup", "aria-label": label }, ...this.buttons);
    this.el.addEventListener("keydown", (event) => this.key(event));
  }

  private key(event: KeyboardEvent): void {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const usable = this.buttons.filter((button) => !button.disabled);
    const at = usable.indexOf(document.activeElement as HTMLButtonElement);
    const next = usable[(at + step + usable.length) % usable.length];
    next?.focus();
    next?.click();
  }

  update(value: T, refused: (value: T) => string = () => ""): void {
    this.choices.forEach((choice, i) => {
      const button = this.buttons[i] as HTMLButtonElement;
      const on = choice.value === value;
      button.setAttribute("aria-checked", `${on}`);
      button.tabIndex = on ? 0 : -1;
      const why = refused(choice.value);
      button.disabled = why !== "";
      button.title = why || (choice.title ?? "");
    });
  }
}

/** A button that stays pressed. */
export function toggle(label: string, press: () => void, title = ""): HTMLButtonElement {
  return h("button", { type: "button", class: "chip", title, onclick: press }, label);
}

export function button(
  label: string,
  press: () => void,
  props: Record<string, unknown> = {},
): HTMLButtonElement {
  return h("button", { type: "button", onclick: press, ...props }, label);
}

export function field(label: string, control: HTMLElement): HTMLElement {
  return h("label", { class: "field" }, h("span", {}, label), control);
}
