"""Quality of a result: PSNR, SSIM, whiteness of the residual."""
