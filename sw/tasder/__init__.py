"""TASDER: which sparsity each linear layer of a model takes, under a budget.

After Jeong et al., arXiv 2403.07953: a search, layer by layer, over sums of N:M terms; with
error-compensated selection after SparseGPT (Frantar and Alistarh, arXiv 2301.00774).
"""
