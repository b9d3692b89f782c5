-- expect: dotted-path.lua:2: "/workspace/../etc" has a ".." in it; write the path it means
return policy "x" { files = { read_write { "/workspace/../etc" } } }
