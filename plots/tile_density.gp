# SPDX-License-Identifier: Apache-2.0
# Tile density against speedup: where does skipping break even?
# Columns: 1 tile density, 2 speedup, 3 and 4 its interval, 5 pair density, 6 time, 7 tile, 8 doubts.
# Densities stand at their square root: 0 has a place, and neither end of the scale is crowded.
unset logscale x
set xrange [-0.03:1.03]
place(d) = sqrt(d)
y_lo = y_min / 1.25 < 0.5 ? y_min / 1.25 : 0.5
y_hi = y_max * 1.25 > 2 ? y_max * 1.25 : 2
set yrange [y_lo:y_hi]

set xtics ('0' 0)
do for [d in '0.01 0.05 0.1 0.2 0.3 0.5 0.7 1'] { set xtics add (d place(d)) }
set ytics (1)
times(d) = abs(d) > 3 ? sprintf('1e%d×', d) : sprintf('%g×', 10.0**d)
do for [d = int(floor(log10(y_lo))):int(ceil(log10(y_hi)))] {
    set ytics add (times(d) 10.0**d)
    if (decades(y_lo, y_hi) < 3) {
        set ytics add (sprintf('%g×', 2 * 10.0**d) 2 * 10.0**d, sprintf('%g×', 5 * 10.0**d) 5 * 10.0**d)
    }
    if (decades(y_lo, y_hi) < 1) {
        do for [m in '1.2 1.5 3 7'] { set ytics add (sprintf('%g×', m * 10.0**d) m * 10.0**d) }
    }
}
set xlabel 'tile density: tiles with a live pair / admissible tiles (square-root scale)' textcolor rgb ink

# Solid and filled for the first mark (skip=tile), dashed and open for the second (skip=slice).
dash(m) = m == 1 ? 1 : 2
shape(c, m) = 5 + 2 * ((c - 1) % 5) - (m == 1 ? 0 : 1)
positive(d) = d > 0 ? place(d) : NaN
# gnuplot looks at the first round of an empty loop, too.
last(i) = i < n_colours ? i : n_colours
set samples 500

eval use_svg(name)
plot (x > 0 && x <= 1) ? 1 / x**2 : NaN with lines linewidth 1.5 dashtype 3 linecolor rgb faint title 'ideal: 1 / density', \
     1 with lines linewidth 1.5 linecolor rgb faint title 'break even', \
     for [i = 1:n_series] data index i - 1 using (series_joined[i] ? positive($1) : NaN):2 with lines linewidth 1.8 dashtype dash(series_mark[i]) linecolor rgb colour(series_colour[i]), \
     for [i = 1:n_series] data index i - 1 using (place($1)):2:3:4 with yerrorbars pointtype shape(series_colour[i], series_mark[i]) linewidth 1.2 linecolor rgb colour(series_colour[i]), \
     for [i = 1:n_series] data index i - 1 using (place($1)):(doubtful(8, $2)) with points pointtype 6 pointsize ring linecolor rgb faint, \
     for [i = 1:n_marks] keyentry with linespoints linewidth 1.8 dashtype dash(i) pointtype 7 - (i == 1 ? 0 : 1) linecolor rgb ink title mark_title[i], \
     for [i = 1:n_joined_colours] keyentry with linespoints linewidth 1.8 pointtype shape(i, 1) linecolor rgb colour(i) title colour_title[i], \
     for [i = n_joined_colours + 1:n_colours] keyentry with points pointtype shape(last(i), 1) linecolor rgb colour(last(i)) title colour_title[last(i)]
eval use_png(name)
replot
