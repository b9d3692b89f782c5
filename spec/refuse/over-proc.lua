-- expect: over-proc.lua:2: "/proc/sys" is in /proc, which moonbox makes itself
return policy "x" { files = { scratch { "/proc/sys", size = 1 * MB } } }
