-- expect: network-word.lua:2: `network` is "none", "open" or rows in braces, not the text "host"
return policy "x" { network = "host" }
