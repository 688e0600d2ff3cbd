// @ts-check
// Mouse, touch and keys on the map.

import { position } from "./format.js";

/** Pixels that a key moves the map. */
const STEP = 80;
/** Pixels that a press may wander and still be a click. */
const CLICK = 4;

/**
 * @param {import("./map.js").TrackMap} map
 * @param {import("./selection.js").Selection} selection
 * @param {HTMLElement} readout where the pointer's position is written
 */
export function listenToMap(map, selection, readout) {
  const { canvas, camera } = map;
  /** @type {Map<number, {x: number, y: number}>} */
  const fingers = new Map();
  let wandered = 0;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    wandered = fingers.size > 1 ? Infinity : 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    readout.textContent = position(...camera.degrees(event.offsetX, event.offsetY));
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const [dx, dy] = [event.offsetX - finger.x, event.offsetY - finger.y];
    const other = [...fingers.entries()].find(([id]) => id !== event.pointerId)?.[1];
    wandered += Math.hypot(dx, dy);
    if (other) {
      const before = Math.hypot(finger.x - other.x, finger.y - other.y);
      const after = Math.hypot(event.offsetX - other.x, event.offsetY - other.y);
      if (before > 0 && after > 0) camera.zoomBy(Math.log2(after / before), other.x, other.y);
      map.touched = true;
    } else if (wandered > CLICK) {
      camera.pan(-dx, -dy);
      map.touched = true;
    }
    Object.assign(finger, { x: event.offsetX, y: event.offsetY });
  });
  canvas.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    if (wandered <= CLICK) selection.set(map.pick(event.offsetX, event.offsetY), "map");
  });
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => (readout.textContent = ""));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1);
    camera.zoomBy(-Math.max(-1, Math.min(1, pixels / 240)), event.offsetX, event.offsetY);
    map.touched = true;
  }, { passive: false });

  /** @type {Record<string, () => void>} */
  const keys = {
    ArrowLeft: () => camera.pan(-STEP, 0),
    ArrowRight: () => camera.pan(STEP, 0),
    ArrowUp: () => camera.pan(0, -STEP),
    ArrowDown: () => camera.pan(0, STEP),
  };
  canvas.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.altKey || event.metaKey ? undefined : keys[event.key];
    if (!act) return;
    event.preventDefault();
    map.touched = true;
    act();
  });
}
