-- expect: endless.lua:1: still running after 2 s; a policy is read once and returns at once: look for an endless loop
while true do end
