-- expect: unknown-word.lua:2: unknown word `read_olny`; did you mean `read_only`?
return policy "x" { files = { read_olny { "/usr" } } }
