"""The generalisation bench: how a method does on hands unlike those it has learnt from, after HANDS 2019."""
