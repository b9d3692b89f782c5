-- expect: publish-two-on-one.lua:2: 2 ports can't all be on port 9000; write one row for each
return policy "x" { network = { publish { 8080, 8081, on = "127.0.0.1:9000" } } }
