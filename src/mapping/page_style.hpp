// How the page of a report looks, in light and dark, narrow and wide.
#pragma once

namespace shard::mapping {

constexpr const char* page_style = R"(
:root {
  color-scheme: light dark;
  --page: #fcfcfb; --ink: #1d1f23; --soft: #62666d; --line: #dfe1e4; --box: #f2f3f4;
  --good: #1a7f4b; --bad: #b3261e; --warn: #8a5a00;
  --start: #c9a227; --work: #2f6db3; --publish: #7a5cc4; --wait: #e3e5e8; --replaced: #1d1f23;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #16181b; --ink: #e6e7e9; --soft: #9aa0a8; --line: #33373c; --box: #202327;
    --good: #5fd096; --bad: #ff8a80; --warn: #e5b45a;
    --start: #d8b545; --work: #6ea8ea; --publish: #a78bfa; --wait: #2b2f34; --replaced: #e6e7e9;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Liberation Sans", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 60px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; }
h1 { font-size: 24px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 17px; margin: 0 0 8px; }
section { margin-top: 32px; }
p { margin: 6px 0; }
.verdict { font-weight: 600; padding: 1px 10px; border-radius: 999px; border: 1px solid; margin: 0; }
.verdict.good { color: var(--good); }
.bad { color: var(--bad); }
.about { color: var(--soft); }
header .about { flex-basis: 100%; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px;
  margin-top: 18px; }
.tile { background: var(--box); border-radius: 8px; padding: 10px 14px; color: var(--ink); }
.tile b { display: block; font-size: 22px; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tile span { color: var(--soft); font-size: 13px; }
.tile.bad b { color: var(--bad); }
.tile.warn b { color: var(--warn); }
.note { border-left: 3px solid var(--warn); padding: 4px 12px; margin: 14px 0 0;
  overflow-wrap: anywhere; }
.note.bad { border-color: var(--bad); color: var(--ink); }
ul { margin: 6px 0; padding-left: 20px; }
li { overflow-wrap: anywhere; }
details { margin: 8px 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
.group { border: 1px solid var(--line); border-radius: 8px; padding: 8px 14px; }
.group > summary { padding: 2px 0; }
.times { font-weight: 600; font-variant-numeric: tabular-nums; }
.kind { color: var(--bad); font-weight: 600; }
article { border-top: 1px solid var(--line); margin-top: 10px; padding-top: 8px; }
article p { overflow-wrap: anywhere; }
.label { color: var(--soft); font-size: 13px; margin: 8px 0 2px; }
pre, .lines, .ranges { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; }
pre { margin: 2px 0 6px; padding: 8px 12px; background: var(--box); border-radius: 6px;
  overflow-x: auto; }
.lines { padding-left: 34px; }
.ranges { overflow-wrap: anywhere; }
.shares { display: block; width: 100%; height: 20px; border-radius: 4px; }
svg .start, i.start { fill: var(--start); background: var(--start); }
svg .work, i.work { fill: var(--work); background: var(--work); }
svg .publish, i.publish { fill: var(--publish); background: var(--publish); }
svg .wait, i.wait { fill: var(--wait); background: var(--wait); }
svg .failed, i.failed { fill: var(--bad); background: var(--bad); }
svg .replaced, i.replaced { fill: var(--replaced); background: var(--replaced); }
.legend { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 18px;
  color: var(--soft); font-size: 13px; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
.timeline { display: flex; gap: 8px; margin-top: 14px; }
.timeline svg { flex: 1; min-width: 0; display: block; }
.names { list-style: none; margin: 0; padding: 0; color: var(--soft); font-size: 11px; }
.names li { height: 16px; line-height: 16px; text-align: right; white-space: nowrap; }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: 13px;
  margin: 2px 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums;
  min-width: 100%; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid var(--line);
  white-space: nowrap; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
th:first-child, td:first-child { padding-left: 0; }
.bar { position: relative; min-width: 110px; }
.bar span { position: absolute; left: 6px; bottom: 2px; height: 3px; max-width: calc(100% - 16px);
  background: var(--work); border-radius: 2px; }
@media (max-width: 520px) {
  main { padding: 16px 12px 40px; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
}
@media print { details:not([open]) > * { display: block; } .wide { overflow: visible; } }
)";

}  // namespace shard::mapping
