-- expect: too-few-files.lua:2: `open_files` is at least 64, not 16
return policy "x" { limits = { open_files = 16 } }
