import { createHash } from 'node:crypto';

/** Style and script of the page: nothing is loaded from anywhere, and nothing is needed to read it. Pure. */

/** The style sheet. On narrow screens a row of the table is a card of its own. */
export const STYLE = `
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#57606a;--paper:#fff;--box:#f3f5f7;--line:#d0d7de;--link:#0a58b8;--good:#116329;--bad:#9a3412}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9da7b3;--paper:#0d1117;--box:#161b22;--line:#30363d;--link:#6cb6ff;--good:#5bd06f;--bad:#ffa657}}
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:72rem;font:1rem/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.7rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.3rem;margin:2.2rem 0 .4rem}h3{font-size:1.05rem;margin:1.6rem 0 .2rem}
p{margin:.4rem 0;max-width:48rem}a{color:var(--link)}code,pre{font-family:ui-monospace,monospace;font-size:.86rem}
pre{background:var(--box);border:1px solid var(--line);border-radius:6px;padding:.7rem;overflow-x:auto;margin:.5rem 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.8rem 0}dt,.soft,th{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
nav{display:flex;flex-wrap:wrap;gap:.2rem .9rem;margin:.6rem 0}
table{border-collapse:collapse;width:100%;margin:.4rem 0}th,td{text-align:left;vertical-align:top;padding:.45rem .8rem .45rem 0;border-top:1px solid var(--line)}
th{font-weight:500;font-size:.86rem;border-top:0}td code{overflow-wrap:anywhere}td.sum{min-width:18rem}summary{cursor:pointer;color:var(--link)}
.good{color:var(--good)}.bad{color:var(--bad)}.nowrap{white-space:nowrap}
#filter{display:none;margin:1rem 0}.scripts #filter{display:block}#filter input{width:100%;max-width:28rem;padding:.5rem .6rem;font:inherit;color:inherit;background:var(--box);border:1px solid var(--line);border-radius:6px}
[hidden]{display:none!important}
@media(max-width:46rem){table,tbody,tr,td{display:block}thead{display:none}tr{border:1px solid var(--line);border-radius:6px;margin:.6rem 0;padding:.3rem .7rem}td{border:0;padding:.15rem 0}td.sum{min-width:0}td::before{content:attr(data-label) " ";color:var(--soft);font-size:.86rem}}
`;

/** The filter. Words are looked for in each row; sections without a row go away. */
export const SCRIPT = `
document.documentElement.classList.add('scripts');
const input=document.querySelector('#filter input'),count=document.querySelector('#count'),rows=[...document.querySelectorAll('tr[data-find]')];
const find=()=>{
const words=input.value.toLowerCase().split(/\\s+/).filter(Boolean);let seen=0;
for(const row of rows){row.hidden=!words.every(word=>row.dataset.find.includes(word));if(!row.hidden)seen++}
for(const part of document.querySelectorAll('section.series'))part.hidden=!part.querySelector('tr[data-find]:not([hidden])');
count.textContent=words.length?seen+' of '+rows.length:'';
};
input.addEventListener('input',find);find();
`;

/** What the page may do: show itself, and run that one script. */
export const POLICY: string = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${createHash('sha256').update(SCRIPT).digest('base64')}'; form-action 'none'; base-uri 'none'`;
