"""How the report looks, on a screen and on paper."""

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
       color: #1e2228; background: #fff }
h1 { font-size: 1.6rem; margin-bottom: .3rem } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem }
table { border-collapse: collapse; margin: 1rem 0; width: 100% }
th, td { padding: .22rem .8rem .22rem 0; text-align: left; vertical-align: top;
         border-bottom: 1px solid #e3e6ea }
th { color: #70767f; font-weight: 500 }
td + td { font-variant-numeric: tabular-nums }
table.run td:first-child { white-space: nowrap; color: #70767f; width: 11rem }
table.run td { overflow-wrap: anywhere }
figure { margin: 1rem 0; break-inside: avoid } img { max-width: 100% }
figcaption, .quiet { color: #70767f; font-size: .9rem }
.head { font-size: 1.15rem; margin-top: 0 } .warn { color: #b34700 }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 0 2.5rem; align-items: start }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.2rem }
.card { margin: 0 } .card img { width: 100%; image-rendering: pixelated }
.card figcaption b { color: #1e2228 }
.live { margin: 1rem 0 }
.choices { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem }
.choices label { white-space: nowrap }
#cloud { width: 100%; height: 30rem; border: 1px solid #e3e6ea; border-radius: 4px;
         cursor: grab; touch-action: none; margin-top: .5rem }
#caption { margin: .3rem 0; min-height: 1.4em }
@media screen and (max-width: 44rem) { .pair { grid-template-columns: 1fr } }
@media print {
  @page { size: A4; margin: 16mm 14mm }
  body { font-size: 9.5pt; max-width: none; margin: 0; padding: 0 }
  .live { display: none }
  h2 { break-after: avoid } tr, .card { break-inside: avoid }
  .pair { gap: 0 8mm } table, figcaption, .quiet { font-size: 8.5pt }
  .cards { grid-template-columns: 1fr 1fr 1fr; gap: 4mm }
}
"""
