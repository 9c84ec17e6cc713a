import { App } from "./app";
import { type WidgetModel, widgetSource } from "./sources/widget";
import { START, type State, VIEWS, type ViewName } from "./state/state";
import { Store } from "./state/store";

/** The view in a notebook's cell; anywidget calls this. */
function render({ model, el }: { model: WidgetModel; el: HTMLElement }): () => void {
  const wanted = model.get("view");
  const view = VIEWS.includes(wanted as ViewName) ? (wanted as ViewName) : "answer";
  const colouring = view === "lens" ? "top" : view === "attention" ? "attention" : "none";
  const source = widgetSource(model);
  const store = new Store<State>({ ...START, view, colouring });
  const app = new App(source, store, "widget");
  el.append(app.el);
  return () => {
    source.close();
    app.el.remove();
  };
}

export default { render };
