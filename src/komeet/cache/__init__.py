"""Which answers may be given once more, to whom, and under which name they are kept. Pure: `store` keeps them."""
