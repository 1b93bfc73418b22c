// Keeps the focus in the box while Flet's client rearranges the page.
//
// With a screen reader the boxes are real elements among those of the messages. When a message
// arrives or changes, some elements are moved. A moved element loses the focus, and the client then
// stops accepting text: the following keys would be lost.

const { insertBefore } = Node.prototype;
const FOCUS = ["blur", "focusout", "focus", "focusin"];

/** Makes moved elements keep the focus. */
export function keepFocus() {
  Node.prototype.insertBefore = function (node, next) {
    return move(this, node, next);
  };
  Node.prototype.appendChild = function (node) {
    return move(this, node, null);
  };
  const { append } = Element.prototype;
  Element.prototype.append = function (...nodes) {
    if (nodes.length === 1 && nodes[0] instanceof Node) move(this, nodes[0], null);
    else append.apply(this, nodes);
  };
}

function move(parent, node, next) {
  const focused = document.activeElement;
  const isMoved = focused && focused !== document.body && parent.isConnected &&
    node instanceof Element && node.contains(focused);
  if (!isMoved) return insertBefore.call(parent, node, next);
  if (parent.moveBefore) {
    parent.moveBefore(node, next);
    return node;
  }
  // Older browsers remove the focus and fire events; restore the focus and suppress the events.
  const stop = (event) => event.stopImmediatePropagation();
  const { selectionStart, selectionEnd } = focused;
  for (const name of FOCUS) addEventListener(name, stop, true);
  insertBefore.call(parent, node, next);
  focused.focus({ preventScroll: true });
  if (typeof selectionStart === "number") focused.setSelectionRange(selectionStart, selectionEnd);
  for (const name of FOCUS) removeEventListener(name, stop, true);
  return node;
}
