-- expect: not-utf8.lua:2: `LANG` is not UTF-8
return policy "x" { env = { LANG = "\255" } }
