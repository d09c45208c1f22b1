// Durations in words, as durations.py writes them: one or two units.

const UNITS = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

/** Return seconds (0 or more) as "40 ms", "3.1 s" or "2 m 5 s". */
export function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  let rest = Math.round(seconds);
  const words = [];
  for (const [size, unit] of UNITS) {
    const amount = Math.floor(rest / size);
    rest -= amount * size;
    if (amount || words.length) words.push(amount ? `${amount} ${unit}` : "");
  }
  return words.slice(0, 2).filter(Boolean).join(" ");
}
