# SPDX-License-Identifier: Apache-2.0
# Time over tile_q and tile_k: which tile is fastest?
# Columns: 1 tile_q, 2 tile_k, 3 median, 4 and 5 its interval (microseconds), 6 tile density, 7 doubts.
unset logscale
unset grid
unset key
# The sizes that there are, in order: a place each, as 64, 128, 192 and 256 are not evenly spaced in any scale. All
# kernels have multiples of 16, up to 256.
sizes_q = ''
sizes_k = ''
do for [n = 16:1024:16] {
    stats data using ($1 == n) name 'Q' nooutput
    stats data using ($2 == n) name 'K' nooutput
    if (Q_sum > 0) { sizes_q = sizes_q.' '.n }
    if (K_sum > 0) { sizes_k = sizes_k.' '.n }
}
place(sizes, n) = (sum [i = 1:words(sizes)] (word(sizes, i) + 0 == n ? i : 0))
x(n) = place(sizes_q, n)
y(n) = place(sizes_k, n)
stats data using 3 name 'T' nooutput
best = T_min
stats data using ($3 == best ? $5 : NaN) name 'B' nooutput
best_hi = B_max

set xrange [0.5:words(sizes_q) + 0.5]
set yrange [0.5:words(sizes_k) + 0.5]
set xtics () scale 0
set ytics () scale 0
do for [i = 1:words(sizes_q)] { set xtics add (word(sizes_q, i) i) }
do for [i = 1:words(sizes_k)] { set ytics add (word(sizes_k, i) i) }
set xlabel 'tile_q: queries' textcolor rgb ink
set border 0
set rmargin at screen 0.850

# Light is slow: the text must be readable on every colour.
set palette defined (0 '#7cc0ea', 1 '#d3e8f6', 2 '#f4f4f4')
worst = T_max / best > 1.5 ? T_max / best : 1.5
set cbrange [0:log10(worst)]
set colorbox user origin 0.875, 0.2 size 0.025, 0.55 noborder
set cbtics ('1×' 0) scale 0 textcolor rgb ink
do for [m in '1.2 1.5 2 3 5 10 20 50 100'] { if (m + 0 <= worst) { set cbtics add (m.'×' log10(m)) } }
set label 7 'time over the fastest' at screen 0.985, 0.475 center rotate font ',12' textcolor rgb ink

time_text(t) = t < 1000 ? sprintf('%.3g µs', t) : t < 1e6 ? sprintf('%.3g ms', t / 1e3) : sprintf('%.3g s', t / 1e6)
small = (words(sizes_q) > 5 || words(sizes_k) > 5)
cell = small ? ',10' : ',12.5'
half = 0.485
met(t, lo) = t > best && lo <= best_hi

do for [picture in 'svg png'] {
    eval picture eq 'svg' ? use_svg(name) : use_png(name)
    plot data using (x($1)):(y($2)):(half):(half):(log10($3 / best)) with boxxyerror fillcolor palette fillstyle solid noborder, \
         data using (x($1)):(met($3, $4) ? y($2) : NaN):(half):(half) with boxxyerror linewidth 1.5 linecolor rgb '#0072B2' fillstyle empty, \
         data using (x($1)):($3 == best ? y($2) : NaN):(half):(half) with boxxyerror linewidth 5 linecolor rgb '#D55E00' fillstyle empty, \
         data using (x($1)):(y($2) + 0.16):(time_text($3)) with labels font cell textcolor rgb '#111111', \
         data using (x($1)):(y($2) - 0.14):(sprintf('%.2f×%s', $3 / best, $3 == best ? ' fastest' : '')) with labels font cell textcolor rgb ink, \
         data using (x($1) + 0.38):(strcol(7) eq '-' ? NaN : y($2) + 0.36) with points pointtype 6 linewidth 1.4 linecolor rgb ink
}
