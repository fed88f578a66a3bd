def write(results, run): pass
