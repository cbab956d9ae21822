# SPDX-License-Identifier: Apache-2.0
# Where the time of tile-skip goes, by tile density: floor, qk and pv, one upon the other.
# Columns: 1 tile density, 2 median, 3 and 4 its interval, 5 floor, 6 qk, 7 pv (microseconds), 8 doubts.
# A row faster than the empty workload has a pv below zero: its qk is cut at its time, its pv not drawn.
unset logscale
set grid noxtics
stats data using 2 name 'N' nooutput
set xrange [-0.6:N_records - 0.4]
unit = y_max < 1000 ? 1.0 : y_max < 1e6 ? 1e3 : 1e6
unit_text = y_max < 1000 ? 'µs' : y_max < 1e6 ? 'ms' : 's'
set yrange [0:y_max * 1.08 / unit]
set format y '%g '.unit_text
if (N_records > 12) { set xtics scale 0 font ',10' } else { set xtics scale 0 font ',12.5' }
set xlabel 'tile density: tiles with a live pair / admissible tiles' textcolor rgb ink
low(a, b) = a < b ? a : b
floor_top(t, f) = low(t, f) / unit
qk_top(t, f, q) = low(t, f + (q > 0 ? q : 0)) / unit
half = 0.36

do for [picture in 'svg png'] {
    eval picture eq 'svg' ? use_svg(name) : use_png(name)
    plot data using 0:(0):($0 - half):($0 + half):(qk_top($2, $5, $6)):($2 / unit):xtic(sprintf('%.2g', $1)) with boxxyerror fillstyle solid noborder linecolor rgb '#E69F00', \
         data using 0:(0):($0 - half):($0 + half):(floor_top($2, $5)):(qk_top($2, $5, $6)) with boxxyerror fillstyle solid noborder linecolor rgb '#0072B2', \
         data using 0:(0):($0 - half):($0 + half):(0):(floor_top($2, $5)) with boxxyerror fillstyle solid noborder linecolor rgb '#333333', \
         data using 0:($3 / unit):(0):(($4 - $3) / unit) with vectors nohead linewidth 2 linecolor rgb '#111111', \
         data using 0:(($5 + $6) / unit) with lines linewidth 1.5 dashtype 2 linecolor rgb '#111111', \
         data using 0:(doubtful(8, $2 / unit)) with points pointtype 6 pointsize ring linecolor rgb faint, \
         keyentry with lines linewidth 1.5 dashtype 2 linecolor rgb '#111111' title 'no pair alive', \
         keyentry with boxes fillstyle solid noborder linecolor rgb '#E69F00' title 'pv', \
         keyentry with boxes fillstyle solid noborder linecolor rgb '#0072B2' title 'qk', \
         keyentry with boxes fillstyle solid noborder linecolor rgb '#333333' title 'floor'
}
