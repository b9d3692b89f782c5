-- expect: size-for-throughput.lua:2: `disk_write` takes a throughput such as 100 * MB / second, not a size
return policy "x" { limits = { disk_write = 100 * MB } }
