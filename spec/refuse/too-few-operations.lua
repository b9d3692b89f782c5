-- expect: too-few-operations.lua:2: `disk_read_ops` is at least 10 / second, not 60 / minute
return policy "x" { limits = { disk_read_ops = 60 / minute } }
