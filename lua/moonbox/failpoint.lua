--- Makes a step fail, in builds made for that; in all others there is nothing of it (core/failpoint).
-- failpoint(part, step) -> true | nil, sentence, CODE
return require("moonbox.core").failpoint or function() return true end
