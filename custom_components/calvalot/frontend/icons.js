// Small drawings: the coins, and the signs on buttons (the latter from Material Design Icons, Apache License 2.0).

import { s } from "./dom.js";

const SIGNS = {
  pause: "M14,19H18V5H14M6,19H10V5H6V19Z",
  resume: "M8,5.14V19.14L19,12.14L8,5.14Z",
  executed: "M21,7L9,19L3.5,13.5L4.91,12.09L9,16.17L19.59,5.59L21,7Z",
  partial: "M21,7L9,19L3.5,13.5L4.91,12.09L9,16.17L19.59,5.59L21,7Z",
  rejected: "M19,6.41L17.59,5L12,10.59L6.41,5L5,6.41L10.59,12L5,17.59L6.41,19L12,13.41L17.59,19L19,17.59L13.41,12L19,6.41Z",
  error: "M11 4H13V14H11M11 17H13V19H11",
  skipped: "M5 11H19V13H5Z",
  open: "M12 4A8 8 0 1 0 20 12H18A6 6 0 1 1 12 6Z",
  waiting: "M14,19H18V5H14M6,19H10V5H6V19Z",
  down: "M7.41,8.58L12,13.17L16.59,8.58L18,10L12,16L6,10L7.41,8.58Z",
  rise: "M12 6L21 18H3Z",
  fall: "M12 18L3 6H21Z",
  alert: "M11,15H13V17H11V15M11,7H13V13H11V7M12,2C6.47,2 2,6.5 2,12A10,10 0 0,0 12,22A10,10 0 0,0 22,12A10,10 0 0,0 12,2M12,20A8,8 0 0,1 4,12A8,8 0 0,1 12,4A8,8 0 0,1 20,12A8,8 0 0,1 12,20Z",
};

const BITCOIN =
  "M14.24 10.56C13.93 11.8 12 11.17 11.4 11L11.95 8.82C12.57 9 14.56 9.26 14.24 10.56M11.13 12.12L10.53 14.53C11.27 14.72 13.56 15.45 13.9 14.09C14.26 12.67 11.87 12.3 11.13 12.12M21.7 14.42C20.36 19.78 14.94 23.04 9.58 21.7C4.22 20.36 .963 14.94 2.3 9.58C3.64 4.22 9.06 .964 14.42 2.3C19.77 3.64 23.03 9.06 21.7 14.42M14.21 8.05L14.66 6.25L13.56 6L13.12 7.73C12.83 7.66 12.54 7.59 12.24 7.53L12.68 5.76L11.59 5.5L11.14 7.29C10.9 7.23 10.66 7.18 10.44 7.12L10.44 7.12L8.93 6.74L8.63 7.91C8.63 7.91 9.45 8.1 9.43 8.11C9.88 8.22 9.96 8.5 9.94 8.75L8.71 13.68C8.66 13.82 8.5 14 8.21 13.95C8.22 13.96 7.41 13.75 7.41 13.75L6.87 15L8.29 15.36C8.56 15.43 8.82 15.5 9.08 15.56L8.62 17.38L9.72 17.66L10.17 15.85C10.47 15.93 10.76 16 11.04 16.08L10.59 17.87L11.69 18.15L12.15 16.33C14 16.68 15.42 16.54 16 14.85C16.5 13.5 16 12.7 15 12.19C15.72 12 16.26 11.55 16.41 10.57C16.61 9.24 15.59 8.53 14.21 8.05Z";

// Colour of the disc, and what is drawn on it in white (a path, or a path with its opacity).
const COINS = {
  ETH: ["#627eea", ["M12 4V9.9L17 12.1Z", 0.65], ["M12 4L7 12.1L12 9.9Z", 1], ["M12 15.9V20L17 13.1Z", 0.65], ["M12 20V15.9L7 13.1Z", 1], ["M12 15L17 12.1L12 9.9Z", 0.4], ["M7 12.1L12 15V9.9Z", 0.7]],
  BNB: ["#d9a400", "M12 5L14 7L12 9L10 7ZM7 10L9 12L7 14L5 12ZM17 10L19 12L17 14L15 12ZM12 15L14 17L12 19L10 17ZM12 10L14 12L12 14L10 12Z"],
  SOL: ["#7a3cf0", "M8.6 7H18L15.6 9.2H6.2ZM6.2 10.9H15.6L18 13.1H8.6ZM8.6 14.8H18L15.6 17H6.2Z"],
  XRP: ["#3d6b9c", "M6 6.5H8.3L10.6 8.8A2 2 0 0 0 13.4 8.8L15.7 6.5H18L14.5 10A3.5 3.5 0 0 1 9.5 10ZM6 17.5H8.3L10.6 15.2A2 2 0 0 1 13.4 15.2L15.7 17.5H18L14.5 14A3.5 3.5 0 0 0 9.5 14Z"],
  DOGE: ["#ba9f33", "M8.5 6H12.5A6 6 0 0 1 12.5 18H8.5V13H7V11H8.5ZM11 8.2V11H13.5V13H11V15.8H12.4A3.8 3.8 0 0 0 12.4 8.2Z"],
  ADA: ["#0d4cc4", "M12 5.5A1 1 0 1 0 12 7.5 1 1 0 0 0 12 5.5M12 16.5A1 1 0 1 0 12 18.5 1 1 0 0 0 12 16.5M7 8.2A1.2 1.2 0 1 0 7 10.6 1.2 1.2 0 0 0 7 8.2M17 8.2A1.2 1.2 0 1 0 17 10.6 1.2 1.2 0 0 0 17 8.2M7 13.4A1.2 1.2 0 1 0 7 15.8 1.2 1.2 0 0 0 7 13.4M17 13.4A1.2 1.2 0 1 0 17 15.8 1.2 1.2 0 0 0 17 13.4M12 9.6A2.4 2.4 0 1 0 12 14.4 2.4 2.4 0 0 0 12 9.6"],
};

export const sign = (name) =>
  s("svg", { viewBox: "0 0 24 24", class: "sign", "aria-hidden": "true" }, s("path", { d: SIGNS[name] }));

export function coin(code) {
  const icon = (...shapes) => s("svg", { viewBox: "0 0 24 24", class: "coin", "aria-hidden": "true" }, ...shapes);
  if (code === "BTC") return icon(s("circle", { cx: 12, cy: 12, r: 9, fill: "#fff" }), s("path", { d: BITCOIN, fill: "#f7931a" }));
  const [colour, ...shapes] = COINS[code] ?? ["#6b7686"];
  const drawn = shapes.map((shape) => {
    const [d, opacity] = Array.isArray(shape) ? shape : [shape, 1];
    return s("path", { d, fill: "#fff", "fill-opacity": opacity });
  });
  if (!drawn.length) {
    const letter = { x: 12, y: 16.2, "text-anchor": "middle", "font-size": 12, "font-weight": 600, fill: "#fff" };
    drawn.push(s("text", letter, code.slice(0, 1)));
  }
  return icon(s("circle", { cx: 12, cy: 12, r: 10, fill: colour }), ...drawn);
}
