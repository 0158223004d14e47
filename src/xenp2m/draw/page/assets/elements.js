// Elements made without markup: a string that came from a capture is only ever a text.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  put(made, ...children);
  return made;
}

// Make `children` all that is in an element; null is none.
function put(parent, ...children) {
  parent.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
}

function html(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG_NAMESPACE, name), attributes, children);
}

function byId(id) {
  return document.getElementById(id);
}

// The data of the page; null where it has none.
function pageData() {
  const element = byId("data");
  return element === null ? null : JSON.parse(element.textContent);
}
