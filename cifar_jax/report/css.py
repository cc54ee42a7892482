"""The style sheet of the page: for any width, light or dark as the reader's system, and paper.

Diagrams are black on nothing; a dark page inverts them and turns the colours back to their hues.
"""

CSS = """
:root {
  color-scheme: light dark;
  --text: #1d2329; --quiet: #59636e; --page: #ffffff; --card: #f4f6f8; --line: #d8dee4;
  --accent: #0072b2;
}
@media screen and (prefers-color-scheme: dark) {
  .diagram img { filter: invert(1) hue-rotate(180deg); }
  .photographs img { filter: brightness(0.85); }
  :root {
    --text: #e4e8ec; --quiet: #9aa5b1; --page: #14181c; --card: #1e242a; --line: #363e47;
    --accent: #56b4e9;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 76rem;
  background: var(--page); color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif;
}
h1 { font-size: clamp(1.5rem, 4vw, 2.2rem); line-height: 1.2; margin: 0.5rem 0;
     overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 0.8rem; padding-bottom: 0.3rem;
     border-bottom: 2px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 0.5rem; overflow-wrap: anywhere; }
header p, figcaption, .quiet { color: var(--quiet); }
header p { margin: 0; font-size: 1.1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
         gap: 0.7rem; margin: 1.4rem 0 0; }
.cards div { background: var(--card); border-radius: 0.5rem; padding: 0.7rem 0.9rem; }
.cards dt { color: var(--quiet); font-size: 0.85rem; }
.cards dd { margin: 0; font-size: 1.35rem; font-weight: 600; line-height: 1.3;
            overflow-wrap: anywhere; }
.cards dd small { display: block; font-size: 0.8rem; font-weight: 400; color: var(--quiet); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--quiet); padding-bottom: 0.4rem; }
th, td { text-align: left; vertical-align: top; padding: 0.35rem 1.1rem 0.35rem 0;
         border-bottom: 1px solid var(--line); }
thead th { white-space: nowrap; color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 400; color: var(--quiet); white-space: nowrap; }
.side { display: grid; gap: 1.2rem; align-items: start;
        grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); }
.side + .side { margin-top: 1.6rem; }
.diagram { background: var(--card); border-radius: 0.5rem; padding: 0.6rem; max-width: 44rem; }
.wide { grid-column: 1 / -1; overflow-x: auto; max-width: none; }
.wide img { min-width: 38rem; }
.photographs img { background: #ffffff; border-radius: 0.5rem; }
.thumbnails { display: grid; gap: 0.8rem;
              grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); }
.guesses { display: grid; gap: 1.2rem;
           grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
.guesses figure { display: grid; grid-template-columns: 6.5rem 1fr; gap: 0.8rem; }
.guesses b { color: var(--text); }
.guesses ol { list-style: none; margin: 0.2rem 0 0; padding: 0; }
.guesses i { display: block; height: 0.35rem; border-radius: 0.2rem; background: var(--accent);
             print-color-adjust: exact; }
.pixels { image-rendering: pixelated; border-radius: 0.3rem; }
.sections { columns: 22rem; column-gap: 2rem; }
.sections .scroll { break-inside: avoid; padding-bottom: 1.2rem; }
.sections table { width: 100%; table-layout: fixed; }
.sections th:first-child { width: 62%; }
.sections td, .sections tbody th { overflow-wrap: anywhere; white-space: normal; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; }
figcaption { font-size: 0.85rem; line-height: 1.35; padding-top: 0.3rem; overflow-wrap: anywhere; }
pre { background: var(--card); border-radius: 0.5rem; padding: 0.8rem 1rem; margin: 0.4rem 0;
      white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.88rem; }
details { margin: 0.8rem 0; }
summary { cursor: pointer; color: var(--accent); }
@media (max-width: 40rem) { table { font-size: 0.9rem; } th, td { padding-right: 0.8rem; } }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, h3 { break-after: avoid; }
  figure, tr, .cards div { break-inside: avoid; }
  .cards div, .diagram { border: 1px solid var(--line); }
  .side { grid-template-columns: 1fr 1fr; }
  .wide img { min-width: 0; }
  .scroll { overflow: visible; }
  details::details-content { content-visibility: visible; }
}
"""
