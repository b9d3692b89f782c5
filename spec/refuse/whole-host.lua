-- expect: whole-host.lua:2: "/" is the whole host; name what is needed below it
return policy "x" { files = { read_only { "/" } } }
