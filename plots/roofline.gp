# SPDX-License-Identifier: Apache-2.0
# Executed FLOP/s against executed FLOP per byte, under the ceilings measured on the device.
# Columns: 1 FLOP per byte, 2 FLOP/s, 3 and 4 its interval, 5 percent of the roofline, 6 time, 7 keys, 8 tile, 9 doubts.
set logscale x
ridge = peak_flop > 0 && peak_bytes > 0 ? peak_flop / peak_bytes : NaN
left = ridge < x_min ? ridge : x_min
right = ridge > x_max ? ridge : x_max
set xrange [left / 4:right * 4]
flat(x) = peak_flop > 0 ? peak_flop : 1e300
slope(x) = peak_bytes > 0 ? peak_bytes * x : 1e300
roof(x) = flat(x) < slope(x) ? flat(x) : slope(x)
top = roof(right * 4) > y_max ? roof(right * 4) : y_max
set yrange [y_min / 2:top * 2.5]
rate_text(y) = y < 0.9e9 ? sprintf('%g M', y / 1e6) : y < 0.9e12 ? sprintf('%g G', y / 1e9) : y < 0.9e15 ? sprintf('%g T', y / 1e12) : sprintf('%g P', y / 1e15)
set ytics (rate_text(1e9) 1e9)
do for [d = int(floor(log10(y_min / 2))):int(ceil(log10(top * 2.5)))] { set ytics add (rate_text(10.0**d) 10.0**d) }
set xtics (1)
do for [d = int(floor(log10(left / 4))):int(ceil(log10(right * 4)))] { set xtics add (sprintf('%g', 10.0**d) 10.0**d) }
set xlabel 'executed FLOP / byte' textcolor rgb ink
if (peak_flop > 0) { set label 7 sprintf('matrix rate %.3g %sFLOP/s', peak_flop / (peak_flop < 1e12 ? 1e9 : 1e12), peak_flop < 1e12 ? 'G' : 'T') at right * 3.6, peak_flop * 1.22 right font ',12' textcolor rgb ink }
if (peak_bytes > 0) { set label 9 sprintf(peak_bytes < 1e11 ? 'bandwidth %.1f GB/s' : 'bandwidth %.0f GB/s', peak_bytes / 1e9) at graph 0.02, 0.955 left font ',12' textcolor rgb ink }
set samples 500
shape(i) = 5 + 2 * ((colour_id[i] - 1) % 5)

do for [picture in 'svg png'] {
    eval picture eq 'svg' ? use_svg(name) : use_png(name)
    plot roof(x) with lines linewidth 2.5 linecolor rgb faint title 'roofline', \
         for [i = 1:n_series] data index i - 1 using 1:2:3:4 with yerrorbars pointtype shape(series_colour[i]) linewidth 1.2 linecolor rgb colour(series_colour[i]), \
         for [i = 1:n_series] data index i - 1 using 1:(doubtful(9, $2)) with points pointtype 6 pointsize ring linecolor rgb faint, \
         for [i = 1:n_colours] keyentry with points pointtype shape(i) linecolor rgb colour(i) title colour_title[i]
}
