--- The style sheet of a report: one column of cards, wide or narrow, light or dark, on screen or paper. Series' colours
-- can be told apart by the colour-blind (after Okabe and Ito), each at least 3 : 1 against its ground.
-- @module rlhf.report.style
return [[
:root { --ground: #f6f7f9; --card: #fff; --ink: #1b2028; --soft: #5a6472; --line: #dfe3e8; --axis: #9aa3ae; --link: #0b5cad;
  --limit: #9b2c2c; --c1: #0b6fb8; --c2: #c9540a; --c3: #0a8a67; --c4: #a8478a; --c5: #8f6a00; --c6: #4a5cc4; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171c; --card: #1c2027; --ink: #e6e9ee; --soft: #a3adba; --line: #303641; --axis: #6b7583; --link: #7db8f0;
    --limit: #ff9a8f; --c1: #62b0f0; --c2: #f0915a; --c3: #4cc79f; --c4: #e191c4; --c5: #e0b94a; --c6: #9fabf7; }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.6; font-family: system-ui, -apple-system,
  "Segoe UI", Roboto, "Apple SD Gothic Neo", "Malgun Gothic", "Noto Sans KR", "Noto Sans CJK KR", sans-serif;
  overflow-wrap: anywhere; word-break: keep-all; }
.page { max-width: 1320px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
header, main { min-width: 0; }
h1 { font-size: clamp(1.65rem, 1.2rem + 1.8vw, 2.4rem); line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 .75rem; }
h2 { font-size: 1.35rem; line-height: 1.3; letter-spacing: -0.01em; margin: 0 0 .75rem; }
section { margin-top: 2.75rem; padding-top: 1.5rem; border-top: 1px solid var(--line); scroll-margin-top: 1rem; }
p { max-width: 44rem; margin: 0 0 .9rem; }
header p { color: var(--soft); font-size: 1.06rem; }
a { color: var(--link); }
nav { margin-top: 1.5rem; font-size: .92rem; }
nav strong { color: var(--soft); font-size: .78rem; font-weight: 600; letter-spacing: .05em; text-transform: uppercase; }
nav ul { list-style: none; margin: .4rem 0 0; padding: 0; }
nav a { display: block; padding: .22rem 0; text-decoration: none; }
nav a:hover { text-decoration: underline; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 9.5rem), 1fr)); gap: .75rem; margin: 1.25rem 0; }
.figures div { max-width: 20rem; padding: .8rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; display: flex; flex-direction: column; justify-content: space-between; }
.figures dt { color: var(--soft); font-size: .86rem; line-height: 1.35; }
.figures dd { margin: .25rem 0 0; font-size: 1.6rem; font-weight: 600; line-height: 1.25; letter-spacing: -0.01em;
  font-variant-numeric: tabular-nums; }
.charts { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); margin: 1.25rem 0; }
figure { margin: 0; padding: .8rem .9rem .7rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  min-width: 0; display: grid; grid-template-rows: subgrid; grid-row: span 3; row-gap: 0; break-inside: avoid; }
figcaption { line-height: 1.4; margin-bottom: .35rem; }
.title { display: flex; justify-content: space-between; align-items: baseline; gap: .75rem; font-size: .96rem; font-weight: 600; }
.last { white-space: nowrap; font-weight: 400; }
.unit, .last, .x, .note, .legend { color: var(--soft); font-size: .8rem; }
.last b, .legend b { color: var(--ink); font-weight: 600; font-variant-numeric: tabular-nums; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem .9rem; margin: .2rem 0 0; padding: 0; line-height: 1.5; }
.legend i { display: inline-block; width: 1.1em; height: 0; border-top: 3px solid; margin-right: .4em; vertical-align: .25em; }
.legend i.dashed { border-top-style: dashed; }
svg { display: block; width: 100%; height: auto; max-width: 34rem; }
.x { text-align: right; line-height: 1.3; }
.note { margin: .45rem 0 0; padding-top: .45rem; border-top: 1px solid var(--line); line-height: 1.45; max-width: none; }
.c1 { color: var(--c1); } .c2 { color: var(--c2); } .c3 { color: var(--c3); }
.c4 { color: var(--c4); } .c5 { color: var(--c5); } .c6 { color: var(--c6); }
svg text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); stroke-width: 1; }
svg .zero { stroke: var(--axis); stroke-width: 1; }
svg polyline { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
svg .pale { stroke-width: 1; stroke-opacity: .38; }
svg .dashed .line { stroke-dasharray: 5 4; }
svg circle { fill: currentColor; }
svg line.limit { stroke: var(--limit); stroke-width: 1.5; stroke-dasharray: 6 4; }
svg text.limit { fill: var(--limit); stroke: var(--card); stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; font-weight: 600; }
svg .bars polygon { fill: currentColor; fill-opacity: .2; stroke: currentColor; stroke-width: 1.5; stroke-linejoin: round; }
svg .hint { fill: var(--ink); fill-opacity: 0; }
svg .hint:hover { fill-opacity: .08; }
table { border-collapse: collapse; width: 100%; }
.samples { margin: 1.25rem 0; table-layout: fixed; background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  border-collapse: separate; border-spacing: 0; font-size: .93rem; line-height: 1.55; }
caption { text-align: left; font-weight: 600; padding: 0 0 .5rem; }
.samples th { text-align: left; color: var(--soft); font-size: .8rem; font-weight: 600; padding: .6rem .9rem; }
.samples td { vertical-align: top; padding: .7rem .9rem; border-top: 1px solid var(--line); white-space: pre-wrap; }
details { margin: .9rem 0; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
summary { cursor: pointer; padding: .6rem .9rem; font-size: .93rem; color: var(--soft); }
summary:hover { color: var(--ink); }
.options { font-size: .86rem; font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; margin: 0 0 .5rem; }
.options th { text-align: left; font-weight: 400; color: var(--soft); width: 14rem; }
.options th, .options td { padding: .25rem .9rem; vertical-align: top; border-top: 1px solid var(--line); white-space: pre-wrap; }
@media (min-width: 1100px) {
  .page { display: grid; grid-template-columns: 12.5rem minmax(0, 1fr); column-gap: 2.75rem; }
  header, main { grid-column: 2; }
  nav { grid-column: 1; grid-row: 1 / span 2; margin: 0; }
  .page > nav { position: sticky; top: 2.5rem; align-self: start; max-height: calc(100vh - 5rem); overflow-y: auto; }
}
@media (max-width: 640px) {
  .page { padding: 1.5rem 1rem 3rem; }
  .figures { grid-template-columns: repeat(auto-fit, minmax(min(100%, 8rem), 1fr)); gap: .6rem; }
  .figures div { padding: .65rem .8rem; }
  .figures dd { font-size: 1.35rem; }
  .samples, .samples tbody, .samples tr, .samples td, .samples caption { display: block; }
  .samples { background: none; border: 0; }
  .samples thead { display: none; }
  .samples tr { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .35rem .9rem .6rem; margin-bottom: .75rem; }
  .samples td { padding: .4rem 0; border: 0; }
  .samples td:empty { display: none; }
  .samples td::before { content: attr(data-label); display: block; color: var(--soft); font-size: .78rem; font-weight: 600; }
  .options, .options tbody, .options tr, .options th, .options td { display: block; width: auto; }
  .options tr { padding: .3rem .9rem; border-top: 1px solid var(--line); }
  .options th, .options td { padding: 0; border: 0; }
}
@media print {
  :root { --ground: #fff; }
  .page { display: block; max-width: none; padding: 0; }
  .page > nav { position: static; max-height: none; }
  figure, .figures div, .samples tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
]]
