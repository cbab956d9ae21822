# SPDX-License-Identifier: Apache-2.0
# Pair density against tile density, by tile size: how many dead pairs can tiles use?
# Columns: 1 pair density, 2 tile density, 3 tile.
# A tile with a live pair is live, so no point can lie below y = x.
lo = x_min < y_min ? x_min : y_min
lo = lo < 0.001 ? 10**floor(log10(lo)) : 0.001
edge = lo / 10**(0.17 * decades(lo, 1))
zero = sqrt(lo * edge)
at(x) = x > 0 ? x : zero
set logscale x
set xrange [edge:1.15]
set yrange [edge:1.15]
step = decades(lo, 1) > 8 ? 2 : 1
set xtics ('0' zero)
set ytics ('0' zero)
do for [d = 0:int(-log10(lo) + 0.5):step] {
    set xtics add (sprintf('%g', 10.0**-d) 10.0**-d)
    set ytics add (sprintf('%g', 10.0**-d) 10.0**-d)
}
set object 1 rectangle from graph 0, graph 0 to first lo, graph 1 behind fillcolor rgb '#f1f1f1' fillstyle solid noborder
set object 2 rectangle from graph 0, graph 0 to graph 1, first lo behind fillcolor rgb '#f1f1f1' fillstyle solid noborder
set xlabel 'pair density: live pairs / admissible pairs' textcolor rgb ink

shape(m) = m <= 5 ? 3 + 2 * m : 2 * m - 8
positive(x) = x > 0 ? x : NaN
set samples 500

eval use_svg(name)
plot (x >= lo && x <= 1) ? x : NaN with lines linewidth 1.5 linecolor rgb faint title 'y = x: all dead pairs', \
     for [i = 1:n_series] data index i - 1 using (series_joined[i] ? positive($1) : NaN):(positive($2)) with lines linewidth 1.6 linecolor rgb colour(series_colour[i]), \
     for [i = 1:n_series] data index i - 1 using (at($1)):(at($2)) with points pointtype shape(series_mark[i]) linecolor rgb colour(series_colour[i]), \
     for [i = 1:n_colours] keyentry with lines linewidth 4 linecolor rgb colour(i) title colour_title[i], \
     for [i = 1:n_marks] keyentry with points pointtype shape(i) linecolor rgb ink title mark_title[i]
eval use_png(name)
replot
