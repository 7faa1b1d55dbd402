# AUROC against privacy budget. Draw again: gnuplot THIS_FILE, in this folder
set encoding utf8
set terminal svg size 720,450 font 'sans-serif,13' enhanced background rgb 'white'
out = './' . 'tradeoff.svg'
if (exists('ARG1')) { if (strlen(ARG1) > 0) { out = ARG1 } }
set output out
set datafile separator comma
set datafile missing NaN
set border 3 lw 1 lc rgb '#404040'
set tics textcolor rgb '#202020'
set grid ytics back lw 0.6 lc rgb '#E4E4E4'
set errorbars small
unset key
set ylabel 'AUROC' offset 0.5
set ytics nomirror out scale 0.6 0.02
set yrange [0.76:0.86]
set format y '%.2f'
set label 'demo' noenhanced at screen 0.115, 0.958 left font ',15'
set label 'mean ± standard deviation over 3 seeds' at screen 0.975, 0.028 right font ',10.5' tc rgb '#606060'
set arrow from screen 0.117, screen 0.890 to screen 0.153, screen 0.890 nohead lw 1.8 lc rgb '#0072B2'
set label 'federated, site noise' noenhanced at screen 0.135, 0.890 left offset 1.6, -0.22 font ',12' point pt 7 ps 0.9 lc rgb '#0072B2'
set arrow from screen 0.392, screen 0.890 to screen 0.428, screen 0.890 nohead lw 1.8 lc rgb '#000000'
set label 'federated, no noise' noenhanced at screen 0.410, 0.890 left offset 1.6, -0.22 font ',12' point pt 13 ps 0.9 lc rgb '#000000'
set arrow from screen 0.667, screen 0.890 to screen 0.703, screen 0.890 nohead lw 1.8 lc rgb '#009E73'
set label 'pooled, with noise' noenhanced at screen 0.685, 0.890 left offset 1.6, -0.22 font ',12' point pt 5 ps 0.9 lc rgb '#009E73'
set arrow from screen 0.117, screen 0.846 to screen 0.153, screen 0.846 nohead lw 1.8 lc rgb '#CC79A7'
set label 'local only, with noise' noenhanced at screen 0.135, 0.846 left offset 1.6, -0.22 font ',12' point pt 11 ps 0.9 lc rgb '#CC79A7'
set lmargin at screen 0.115
set rmargin at screen 0.810
set tmargin at screen 0.802
set bmargin at screen 0.232
set logscale x 10
set xrange [0.81283051616409929:21.379620895022324]
set xtics ('1' 1, '5' 5, '10' 10, "∞\nno privacy" 17.378008287493753) nomirror out scale 0.6 offset 0, 0.25
set xlabel 'privacy budget ε of one trained model (δ = 1e-05)' offset 0, -0.5
set arrow from 12.926471708339248, graph 0 to 13.443736759414945, graph 0 nohead front lw 4 lc rgb 'white'
set arrow from 12.758511223468821, graph -0.018 to 13.096643323018144, graph 0.018 nohead front lw 1 lc rgb '#404040'
set arrow from 13.269055176108264, graph -0.018 to 13.620717952990899, graph 0.018 nohead front lw 1 lc rgb '#404040'
set object rectangle from graph 0, first 0.8504620173172317 to graph 1, first 0.85180194830584988 behind fillcolor rgb '#009E73' fillstyle solid 0.12 noborder
set arrow from graph 0, first 0.85113198281154079 to graph 1, first 0.85113198281154079 nohead back lw 1.6 dt 2 lc rgb '#009E73'
set label 'pooled, 0.851' at graph 1.012, first 0.85113198281154079 left tc rgb '#202020'
set object rectangle from graph 0, first 0.83340093287665806 to graph 1, first 0.83680225926576046 behind fillcolor rgb '#CC79A7' fillstyle solid 0.12 noborder
set arrow from graph 0, first 0.83510159607120926 to graph 1, first 0.83510159607120926 nohead back lw 1.6 dt 4 lc rgb '#CC79A7'
set label 'local only, 0.835' at graph 1.012, first 0.83510159607120926 left tc rgb '#202020'
plot './tradeoff.csv' skip 1 using ($17 == 1 ? $18 : NaN):7:19:20 with yerrorlines lw 1.8 lc rgb '#0072B2' pt 7 ps 0.9 notitle, \
     './tradeoff.csv' skip 1 using ($17 == 3 ? $18 : NaN):7:19:20 with yerrorlines lw 1.8 lc rgb '#000000' pt 13 ps 0.9 notitle, \
     './tradeoff.csv' skip 1 using ($17 == 5 ? $18 : NaN):7:19:20 with yerrorlines lw 1.8 lc rgb '#009E73' pt 5 ps 0.9 notitle, \
     './tradeoff.csv' skip 1 using ($17 == 7 ? $18 : NaN):7:19:20 with yerrorlines lw 1.8 lc rgb '#CC79A7' pt 11 ps 0.9 notitle
unset output
