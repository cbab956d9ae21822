# SPDX-License-Identifier: Apache-2.0
# A trace, head by head: time against window (left) and tile density (right).
# Columns: 1 tile density, 2 median, 3 and 4 its interval (microseconds), 5 window, 6 pair density, 7 head, 8 tile, 9 doubts.
# A head without a window stands in the grey strip at the right of the left panel, one without a
# live tile in the grey strip at the left of the right panel.
stats data using (valid(5) && $5 > 0 && $5 < 1e300 ? $5 : NaN) name 'W' nooutput
stats data using (strcol(5) eq 'inf' ? 1 : NaN) name 'I' nooutput
w_known = exists('W_records') ? W_records : 0
w_off = exists('I_records') ? I_records : 0
panels = w_known + w_off > 0 ? 2 : 1
w_lo = w_known > 0 ? W_min / 1.4 : 1
w_hi = w_known > 0 ? W_max * 1.4 : 2
w_edge = w_off > 0 ? w_hi * (w_hi / w_lo)**0.2 : w_hi
w_inf = sqrt(w_hi * w_edge)
window(w) = w < 1e300 ? w : w_inf
d_lo = x_min < 0.9 ? x_min / 1.5 : 0.5
d_edge = d_lo / (1 / d_lo)**0.17
d_zero = sqrt(d_lo * d_edge)
density(d) = d > 0 ? d : d_zero

margin = decades(y_min, y_max) < 0.5 ? 2 : 1.4
set yrange [y_min / margin:y_max * margin]
set logscale x
time_text(y) = y < 0.9 ? sprintf('%g ns', y * 1000) : y < 900 ? sprintf('%g µs', y) : y < 900000 ? sprintf('%g ms', y / 1000) : sprintf('%g s', y / 1000000)
y_text(y, shown) = shown ? time_text(y) : ''
length_text(n) = n >= 1024 && n % 1024 == 0 ? sprintf('%dk', n / 1024) : sprintf('%d', n)
w_step = 1 + int(decades(w_lo, w_hi) * 3.32 / 5)
shape(i) = 5 + 2 * ((colour_id[i] - 1) % 5)

do for [picture in 'svg png'] {
    eval picture eq 'svg' ? use_svg(name) : use_png(name)
    set multiplot
    eval set_labels
    do for [panel = 3 - panels:2] {
        named = panel == 1 || panels == 1
        set ytics (y_text(1, named) 1)
        do for [d = int(floor(log10(y_min / margin))):int(ceil(log10(y_max * margin)))] {
            do for [m in '1 2 5'] { set ytics add (y_text(m * 10.0**d, named) m * 10.0**d) }
        }
        if (panel == 1) {
            unset key
            set lmargin at screen 0.115
            set rmargin at screen 0.415
            set xrange [w_lo:w_edge]
            set xtics ('off' w_inf)
            do for [p = 0:24:w_step] { if (2**p < w_hi) { set xtics add (length_text(2**p) 2**p) } }
            set xlabel 'window (tokens)' textcolor rgb ink
            if (w_off > 0) { set object 1 rectangle from first w_hi, graph 0 to graph 1, graph 1 behind fillcolor rgb '#f1f1f1' fillstyle solid noborder }
            plot for [i = 1:n_series] data index i - 1 using (window($5)):2:3:4 with yerrorbars pointtype shape(series_colour[i]) linewidth 1.2 linecolor rgb colour(series_colour[i]), \
                 for [i = 1:n_series] data index i - 1 using (window($5)):(doubtful(9, $2)) with points pointtype 6 pointsize ring linecolor rgb faint, \
                 data index n_series - 1 using (window($5)):2:(sprintf('%d', $7)) with labels offset 0.9, 0.5 font ',10' textcolor rgb ink
            unset object 1
            unset label
        } else {
            set key outside right top vertical Left reverse noautotitle samplen 1 spacing 1.25 width -2 font ',12' textcolor rgb ink
            set lmargin at screen panels == 2 ? 0.435 : 0.115
            set rmargin at screen 0.740
            set xrange [d_edge:1.2]
            set xtics ('0' d_zero)
            do for [d = int(floor(log10(d_lo))):0] {
                do for [m in decades(d_lo, 1) > 2 ? '1' : '1 2 5'] {
                    if (m * 10.0**d >= d_lo && m * 10.0**d <= 1) { set xtics add (sprintf('%g', m * 10.0**d) m * 10.0**d) }
                }
            }
            set object 2 rectangle from graph 0, graph 0 to first d_lo, graph 1 behind fillcolor rgb '#f1f1f1' fillstyle solid noborder
            set xlabel 'tile density' textcolor rgb ink
            plot for [i = 1:n_series] data index i - 1 using (density($1)):2:3:4 with yerrorbars pointtype shape(series_colour[i]) linewidth 1.2 linecolor rgb colour(series_colour[i]), \
                 for [i = 1:n_series] data index i - 1 using (density($1)):(doubtful(9, $2)) with points pointtype 6 pointsize ring linecolor rgb faint, \
                 data index n_series - 1 using (density($1)):2:(sprintf('%d', $7)) with labels offset 0.9, 0.5 font ',10' textcolor rgb ink, \
                 for [i = 1:n_colours] keyentry with points pointtype shape(i) linecolor rgb colour(i) title colour_title[i]
            unset object 2
        }
    }
    unset multiplot
}
