# SPDX-License-Identifier: Apache-2.0
# What all plots share. Above this line stand the variables of this picture:
#   name                       base name of data and pictures
#   title, subtitle, subtitle2 text; `note`, `note2`, `note3`: lines below the picture
#   n_series                   index blocks of the data file
#   series_colour, series_mark for each block, an index into the next two lists
#   series_joined              for each, whether a line joins its points
#   n_joined_colours           colours from this one on are of points that no line joins
#   n_colours, colour_title    what a colour stands for
#   colour_id                  for each, which colour of the palette
#   n_marks, mark_title        what a point shape or dash stands for
#   y_title                    what the y axis shows
#   x_min, x_max, y_min, y_max range of the data, without zeros
#   peak_flop, peak_bytes      ceilings of the device; 0 where they were not measured
set encoding utf8
set termoption noenhanced
set datafile separator "\t"
data = name.'.dat'

# Okabe and Ito's palette without its yellow, which is faint on white; told apart by colour-blind
# readers too.
array palette[8] = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000', '#8C564B']
colour(i) = palette[(colour_id[i] - 1) % 8 + 1]
ink = '#333333'
faint = '#8a8a8a'

set border 3 linecolor rgb faint
set tics nomirror out scale 0.7 textcolor rgb ink
set grid xtics ytics linetype 1 linewidth 0.6 linecolor rgb '#e4e4e4'
set style line 100 linecolor rgb faint
set key outside right top vertical Left reverse noautotitle samplen 3 spacing 1.25 width -2 font ',12' textcolor rgb ink
set lmargin at screen 0.115
set bmargin at screen 0.215
set tmargin at screen 0.830
# Title, notes and name of the y axis; a string, for a picture of two panels sets them twice.
set_labels = "set label 1 title at screen 0.015, 0.955 left font ',18' textcolor rgb '#111111'; \
set label 2 subtitle at screen 0.015, 0.908 left font ',12.5' textcolor rgb '#555555'; \
set label 3 subtitle2 at screen 0.015, 0.870 left font ',12.5' textcolor rgb '#555555'; \
set label 5 y_title at screen 0.020, 0.490 center rotate textcolor rgb ink; \
set label 4 note at screen 0.015, 0.074 left font ',11.5' textcolor rgb '#555555'; \
set label 6 note2 at screen 0.015, 0.045 left font ',11.5' textcolor rgb '#555555'; \
set label 8 note3 at screen 0.015, 0.016 left font ',11.5' textcolor rgb '#555555'"
eval set_labels
set pointsize 0.9

# A point to be taken with care is circled: column c of its row has a word of why, else '-'.
doubtful(c, y) = strcol(c) eq '-' ? NaN : y

set logscale y
decades(lo, hi) = log10(hi) - log10(lo)

use_svg(n) = sprintf("set terminal svg size 800,560 dynamic font 'DejaVu Sans,Helvetica,sans-serif,13.5' background '#ffffff' noenhanced; ring = 1.3; set output '%s.svg'", n)
use_png(n) = sprintf("set terminal pngcairo size 800,560 font 'DejaVu Sans,13.5' fontscale 0.75 background '#ffffff' noenhanced; ring = 2; set output '%s.png'", n)
