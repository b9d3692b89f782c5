-- expect: later-word.lua:2: `isolation` is kept for a later version of moonbox; leave it out
return policy "x" { isolation = "microvm" }
