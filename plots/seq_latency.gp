# SPDX-License-Identifier: Apache-2.0
# Sequence length against latency, all kernels: where do they cross?
# Columns: 1 length, 2 median, 3 and 4 its interval (microseconds), 5 tile, 6 doubts. Dashed: not this program's kernels.
set logscale x 2
length_text(n) = n >= 1048576 && n % 1048576 == 0 ? sprintf('%dM', n / 1048576) : n >= 1024 && n % 1024 == 0 ? sprintf('%dk', n / 1024) : sprintf('%d', n)
set xrange [x_min / 1.25:x_max * 1.25]
first_power = int(floor(log(x_min) / log(2) + 0.001))
last_power = int(ceil(log(x_max) / log(2) - 0.001))
set xtics (length_text(2**first_power) 2**first_power)
do for [p = first_power:last_power:1 + (last_power - first_power) / 14] { set xtics add (length_text(2**p) 2**p) }
margin = decades(y_min, y_max) < 0.5 ? 3 : 1.6
set yrange [y_min / margin:y_max * margin]
time_text(y) = y < 0.9 ? sprintf('%g ns', y * 1000) : y < 900 ? sprintf('%g µs', y) : y < 900000 ? sprintf('%g ms', y / 1000) : sprintf('%g s', y / 1000000)
set ytics (time_text(1) 1)
do for [d = int(floor(log10(y_min / margin))):int(ceil(log10(y_max * margin)))] {
    set ytics add (time_text(10.0**d) 10.0**d)
    if (decades(y_min, y_max) < 2.5) {
        set ytics add (time_text(2 * 10.0**d) 2 * 10.0**d, time_text(5 * 10.0**d) 5 * 10.0**d)
    }
}
set xlabel 'sequence length (keys, tokens)' textcolor rgb ink

shape(i) = colour_id[i] <= 5 ? 5 + 2 * (colour_id[i] - 1) : 4 + 2 * ((colour_id[i] - 6) % 5)
dash(i) = colour_id[i] <= 5 ? 1 : 2 + (colour_id[i] - 6) / 8

eval use_svg(name)
plot for [i = 1:n_series] data index i - 1 using 1:2 with lines linewidth 1.8 dashtype dash(series_colour[i]) linecolor rgb colour(series_colour[i]), \
     for [i = 1:n_series] data index i - 1 using 1:2:3:4 with yerrorbars pointtype shape(series_colour[i]) linewidth 1.2 linecolor rgb colour(series_colour[i]), \
     for [i = 1:n_series] data index i - 1 using 1:(doubtful(6, $2)) with points pointtype 6 pointsize ring linecolor rgb faint, \
     for [i = 1:n_colours] keyentry with linespoints linewidth 1.8 dashtype dash(i) pointtype shape(i) linecolor rgb colour(i) title colour_title[i]
eval use_png(name)
replot
